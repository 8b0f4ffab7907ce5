//! The samples in `config/` cannot rot: `liege check` finds nothing in them.

use std::path::Path;

use liege_integration_tests::story;
use liege_integration_tests::tools::run_liege;

#[test]
fn the_samples_are_valid() {
    story(|_host| {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
        let vassals = std::fs::read_dir(config.join("vassals")).unwrap().map(|entry| entry.unwrap().path());
        let mut samples: Vec<_> = vassals.filter(|path| path.extension().is_some_and(|e| e == "ini")).collect();
        samples.push(config.join("emperor.ini"));
        assert!(samples.len() >= 3, "{samples:?}");
        for sample in samples {
            let (status, said) = run_liege(&["check".as_ref(), sample.as_os_str()]);
            assert_eq!(status, 0, "{said}");
            assert!(!said.contains("warning"), "{said}");
        }
    });
}

#[test]
fn every_key_of_the_emperors_sample_is_known() {
    story(|host| {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/emperor.ini");
        let text = std::fs::read_to_string(sample).unwrap();
        // A key that is commented out stands directly behind its semicolon; prose has a blank there.
        let all: Vec<String> = text
            .lines()
            .map(|line| line.strip_prefix(';').filter(|l| !l.starts_with(' ') && l.contains('=')).unwrap_or(line))
            .map(str::to_owned)
            .collect();
        let keys = all.iter().filter(|line| line.contains(" = ") && !line.starts_with(';')).count();
        assert!(keys >= 15, "only {keys} keys: {all:?}");
        let file = host.path("emperor.ini");
        std::fs::write(&file, all.join("\n")).unwrap();
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
        assert!(status == 0 && !said.contains("warning"), "{said}");
    });
}
