//! What `--help` says, of every command.

use std::fmt::Write;

use clap::Command;

/// The long help of a command and of all beneath it.
fn write(command: &Command, path: &str, text: &mut String) {
    let help = command.clone().term_width(100).render_long_help();
    writeln!(text, "$ {path} --help\n{help}").unwrap();
    let nested = command.get_subcommands();
    for nested in nested.filter(|nested| nested.get_name() != "help") {
        write(nested, &format!("{path} {}", nested.get_name()), text);
    }
}

#[test]
fn the_whole_help() {
    let mut command = timeslip::cli::whole();
    command.build();
    let mut text = String::new();
    write(&command, "timeslip", &mut text);
    insta::assert_snapshot!(text);
}

#[test]
fn first_lines_are_imperative_and_have_no_full_stop() {
    fn check(command: &Command) {
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("--{} has no help", argument.get_id()));
            assert!(!help.ends_with('.'), "{}: {help}", argument.get_id());
        }
        for nested in command.get_subcommands() {
            let about = nested.get_about().map(ToString::to_string);
            let about = about.unwrap_or_else(|| panic!("{} has no help", nested.get_name()));
            assert!(!about.ends_with('.'), "{}: {about}", nested.get_name());
            check(nested);
        }
    }
    check(&timeslip::cli::whole());
}
