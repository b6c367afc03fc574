//! A disk that fills up, and one that is read-only. The disk is a small tmpfs in a namespace of its own; where the system allows none,
//! there is nothing to try it on.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Home, left_out};

/// Runs a shell script that may mount; `None` where that is not allowed.
fn in_namespace(home: &Home, script: &str) -> Option<String> {
    let unshare = |script: &str| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-ec", script])
            .env("ALLM", env!("CARGO_BIN_EXE_allm"))
            .env("ALLM_HOME", home.path())
            .env("ALLM_USER", "alice")
            .current_dir(home.folder())
            .output()
    };
    let may = unshare("mount -t tmpfs none \"$ALLM_HOME\"");
    if !may.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let output = unshare(script).unwrap();
    let (stdout, stderr) = (output.stdout, output.stderr);
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(output.status.success(), "{stdout}{stderr}");
    Some(stdout.into_owned())
}

#[test]
fn a_disk_that_fills_up_costs_no_turn() {
    let slow = std::env::var_os("ALLM_SLOW_TESTS").is_some();
    let sizes: Vec<u32> = if slow {
        (1..=12).map(|step| step * 200).collect()
    } else {
        vec![600, 1_500]
    };
    for size in sizes {
        let home = Home::new();
        let words = "some words that take room ".repeat(400);
        let questions: Vec<String> = (0..25)
            .map(|number| format!("{number} {words}\n"))
            .collect();
        fs::write(home.folder().join("questions"), questions.concat()).unwrap();
        let script = format!(
            "mount -t tmpfs -o mode=700,size={size}k none \"$ALLM_HOME\"
             \"$ALLM\" chat -p offline --json < questions 2> said || true
             mount -o remount,size=200m \"$ALLM_HOME\"
             echo ---
             \"$ALLM\" timeframe 2020-01-01 2100-01-01 --json 2>> said"
        );
        let Some(output) = in_namespace(&home, &script) else {
            left_out("no disk may be mounted here");
            return;
        };
        let (answered, stored) = output.split_once("---\n").unwrap();
        let said = fs::read_to_string(home.folder().join("said")).unwrap();
        assert!(
            answered.contains("No space left on device")
                || said.contains("No space left on device"),
            "{size}: {said}"
        );
        let stored: Value = serde_json::from_str(stored).unwrap();
        let ids: Vec<&Value> = stored["interactions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|turn| &turn["interaction_id"])
            .collect();
        let mut answers = 0;
        for line in answered.lines() {
            let turn: Value = serde_json::from_str(line).unwrap();
            if turn["type"] == "turn" {
                answers += 1;
                let there = ids
                    .iter()
                    .filter(|id| ***id == turn["interaction_id"])
                    .count();
                assert_eq!(there, 1, "{size}: {turn}\n{said}");
            }
        }
        // What was refused was not asked, so it is not there, either.
        assert_eq!(ids.len(), answers, "{size}: {said}");
    }
}

#[test]
fn a_home_that_is_read_only_can_be_read_and_stays_as_it_is() {
    let home = Home::new();
    let script = "mount -t tmpfs -o mode=700 none \"$ALLM_HOME\"
        \"$ALLM\" chat -p offline hello > /dev/null
        rm -f \"$ALLM_HOME\"/*lock
        before=$(find \"$ALLM_HOME\" -type f | sort | xargs sha256sum)
        mount -o remount,ro \"$ALLM_HOME\"
        for command in 'search hello' 'timeframe today' 'sql SELECT query FROM interactions' export sessions last stats; do
            \"$ALLM\" $command > read 2>&1 || { echo \"$command\"; cat read; }
            grep -q hello read || test \"$command\" = last -o \"$command\" = stats || echo \"$command finds nothing\"
        done
        ! \"$ALLM\" chat -p offline again > said 2>&1
        test \"$before\" = \"$(find \"$ALLM_HOME\" -type f | sort | xargs sha256sum)\"
        cat said";
    let Some(said) = in_namespace(&home, script) else {
        left_out("no disk may be mounted here");
        return;
    };
    assert!(
        said.starts_with("error: cannot open") && said.contains("Read-only file system"),
        "{said}"
    );
}
