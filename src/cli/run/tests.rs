//! What is made of the command line.

use clap::Parser as _;

use super::*;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn parsed(words: &[&str]) -> Result<Args, clap::Error> {
    Line::try_parse_from(["run"].iter().chain(words)).map(|line| line.args)
}

#[test]
fn the_command_keeps_its_own_flags() {
    for words in
        [&["--quiet", "--", "tar", "--help", "-t"][..], &["--quiet", "tar", "--help", "-t"]]
    {
        let args = parsed(words).unwrap();
        assert!(args.quiet);
        assert_eq!(args.command, ["tar", "--help", "-t"]);
    }
    assert!(parsed(&[]).is_err(), "there is no command");
    for wrong in [["--memory", "much"], ["--cpu", "0%"], ["--timeout", "soon"], ["--label", "x"]] {
        assert!(parsed(&[&wrong[..], &["--", "true"]].concat()).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_type_is_the_name_of_the_command_as_far_as_it_makes_one() {
    for (words, name) in [
        (&["--", "/usr/bin/tar", "c"][..], "tar"),
        (&["--", "./my script.sh"], "my-script.sh"),
        (&["--", "..."], "command"),
        (&["--", "jobplane.internal"], "command"),
        (&["--type", "backup", "--", "tar"], "backup"),
    ] {
        assert_eq!(start::job_type(&parsed(words).unwrap()), name, "{words:?}");
    }
}
