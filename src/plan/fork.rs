//! The words with which init tells that it could make no child. The core knows by them that nothing of the vassal's had begun to run.

/// A step's child.
pub const FOR_STEP: &str = "fork";
/// The app's process.
pub const FOR_APP: &str = "fork for the app";
