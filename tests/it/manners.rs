//! How the program meets a person.

use crate::harness::Home;

#[test]
fn long_output_on_a_terminal_goes_through_the_pager() {
    let home = Home::new();
    let terminal = |args: &[&str], pager: &str| {
        let mut terminal = home.terminal_with(args, &[("PAGER", pager)]);
        assert_eq!(terminal.exit_status(), 0, "{}", terminal.screen());
        terminal.screen()
    };
    let screen = terminal(&["search", "--help"], "sed 's/^/P:/'");
    assert!(screen.contains("P:Find what was said"), "{screen}");
    // What fits is shown as it is, and so is what there is no pager for.
    let screen = terminal(&["--version"], "sed 's/^/P:/'");
    assert!(!screen.contains("P:"), "{screen}");
    for none in ["cat", "", "no-such-pager-at-all"] {
        let screen = terminal(&["search", "--help"], none);
        assert!(screen.contains("--min-score"), "{none}: {screen}");
    }
    // Who has seen enough leaves early, and Ctrl-C is for the pager.
    let screen = terminal(&["search", "--help"], "head -1");
    assert!(
        screen.contains("Find what") && !screen.contains("--min-score"),
        "{screen}"
    );
    let waits = "trap 'echo heard; exit' INT; echo reading; while :; do sleep 0.1; done";
    let mut terminal = home.terminal_with(&["chat", "-p", "offline"], &[("PAGER", waits)]);
    terminal.wait_for("extractive");
    terminal.type_keys("/search --help\r");
    terminal.wait_for("reading");
    terminal.type_keys("\u{3}");
    terminal.wait_for("heard");
    terminal.wait_for("extractive");
    terminal.type_keys("/quit\r");
    assert_eq!(terminal.exit_status(), 0, "{}", terminal.screen());
}
