//! Fixture of the stories.
