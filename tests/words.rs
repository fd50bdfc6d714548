//! What the command says from its first word on: help, complaints about what it was given, and the verbs that only make
//! files and text. None of them may need a host, a program of this machine or the user's home.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory;
use serde_json::{Value, json};
use unitbee::cli::args::Cli;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder to run in, where nothing else can be found or written.
struct Folder(tempfile::TempDir);

/// How a run ended.
struct Run {
    words: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("nothing")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names of what is there, but for the empty folder.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "nothing").collect();
        names.sort();
        names
    }

    /// Runs unitbee for a terminal of 80 columns, with no program in its path and a home that cannot be made.
    fn run(&self, words: &[&str]) -> Run {
        self.run_with(&[], words)
    }

    fn run_with(&self, env: &[(&str, &str)], words: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_unitbee"))
            .args(words)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", self.path("nothing"))
            .env("HOME", "/dev/null/home")
            .env("COLUMNS", "80")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Run {
            words: words.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "unitbee {}\n{}{}", self.words, self.stdout, self.stderr);
        self
    }

    /// Asserts that nothing went wrong, and returns what was printed.
    #[track_caller]
    fn prints(self) -> String {
        let run = self.exits(0);
        assert_eq!(run.stderr, "", "unitbee {}", run.words);
        run.stdout
    }

    /// Asserts that it was refused with this code, and returns the complaint.
    #[track_caller]
    fn complains(self, code: i32) -> String {
        let run = self.exits(code);
        assert_eq!(run.stdout, "", "unitbee {}", run.words);
        run.stderr
    }
}

/// The verbs as the command knows them.
fn verbs() -> Vec<String> {
    let command = Cli::command();
    command.get_subcommands().map(|verb| verb.get_name().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn every_help_fits_eighty_columns_and_has_an_example() {
    let folder = Folder::new();
    let mut all = String::new();
    for verb in [vec![String::new()], verbs()].concat() {
        let words: Vec<&str> = [verb.as_str(), "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let help = folder.run(&words).prints();
        assert!(help.contains("Example:\n  unitbee ") || help.contains("Examples:\n  unitbee "), "{verb}: {help}");
        let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{verb}: {long:?}");
        let lines = help.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>();
        all.extend(["$ unitbee ", &words.join(" "), "\n", &lines, "\n"]);
    }
    insta::assert_snapshot!("help", all);
}

#[test]
fn what_nobody_sees_on_a_terminal_has_no_colours() {
    let folder = Folder::new();
    folder.write("unitbee.toml", "[service.a]\ncommand = 1\n");
    for env in [&[][..], &[("NO_COLOR", "1")], &[("TERM", "xterm-256color")]] {
        for words in [&["--help"][..], &["apply", "--help"], &["frobnicate"], &["plan"], &["status", "-f", "none"]] {
            let run = folder.run_with(env, words);
            assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{env:?} {words:?}");
        }
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let folder = Folder::new();
    let told = |words: &[&str], text: &str| {
        let complaint = folder.run(words).complains(64);
        assert!(complaint.contains(text), "{words:?} does not say {text:?}:\n{complaint}");
    };
    told(&[], "Usage: unitbee");
    told(&["aply"], "a similar subcommand exists: 'apply'");
    told(&["status", "--jsno"], "a similar argument exists: '--json'");
    told(&["status", "-x"], "unexpected argument '-x'");
    told(&["install-unit"], "<SERVICE>");
    told(&["install-unit", "web", "./web"], "unexpected argument './web'");
    told(&["install-unit", "web", "--env", "A", "--", "./web"], "--env \"A\" has no `=`");
    told(&["install-unit", "web", "--memory", "1G"], "<COMMAND>");
    told(&["install-unit", "web", "-f", "a.toml", "--", "./web"], "leave out `-f`");
    told(&["logs", "-n", "-1"], "-1");
    told(&["kill", "--signal", "STOP"], "possible values: term, kill");
    told(&["apply", "--lock-wait", "soon"], "write a time span");
    told(&["completions", "tcsh"], "possible values: bash");
    told(&["plan"], "there is no manifest unitbee.toml");
    told(&["-f", "other.toml", "status"], "there is no manifest other.toml");
    told(&["start", "a/b"], "invalid unit name");
    folder.write("unitbee.toml", "[service.web]\ncommand = ['sleep']\n");
    assert!(folder.run(&["--json", "logs", "--raw"]).exits(64).stdout.contains("leave out `--raw` or `--json`"));
    told(&["plan", "wbe"], "did you mean `web`? there are web-main");
    for verb in ["apply", "build", "install-unit"] {
        told(&[verb, "wbe.service"], "did you mean `web`? there are web-main");
    }
    // Whatever the hosts have by that name would do, and none has anything.
    for verb in ["uninstall", "start", "stop", "status", "logs", "kill", "rollback", "history", "prune"] {
        let complaint = folder.run(&[verb, "wbe.service"]).complains(1);
        assert!(complaint.contains("did you mean `web`?"), "{verb}:\n{complaint}");
    }
    told(&["plan", "-H=-oProxyCommand=x"], "is no host");
    assert_eq!(folder.names(), ["unitbee.toml"]);
}

#[test]
fn a_host_that_is_not_found_may_be_another_of_the_manifest() {
    let folder = Folder::new();
    folder.write("unitbee.toml", "[service.web]\ncommand = ['sleep']\nhosts = ['gpu1']\n[host.gpu1]\n");
    folder.write(
        "nothing/ssh",
        "#!/bin/sh\necho 'ssh: Could not resolve hostname x: Name or service not known' >&2\nexit 255\n",
    );
    fs::set_permissions(folder.path("nothing/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let home = folder.path("home");
    fs::create_dir(&home).unwrap();
    let run = |host| folder.run_with(&[("HOME", home.to_str().unwrap())], &["status", "-H", host]).complains(1);
    assert!(run("gpu11").contains("hint: did you mean `gpu1`?"), "{}", run("gpu11"));
    assert!(run("elsewhere").contains("hint: check the name of elsewhere"), "{}", run("elsewhere"));
}

const MISTAKES: &str = r#"slise = "rbee"

[service.llm]
command = ["./llm", "--port", "{prot}"]
instances = { 8080 = { port = 8080 } }
limits = { memory = "4GB" }
health = { url = "http://127.0.0.1:{port}/", within = "soon" }
hosts = ["gpu"]
"#;

#[test]
fn five_mistakes_are_five_complaints() {
    let folder = Folder::new();
    folder.write("unitbee.toml", MISTAKES);
    for verb in ["render", "verify", "plan", "apply", "uninstall", "status", "start", "logs"] {
        let complaint = folder.run(&[verb]).complains(65);
        assert_eq!(complaint.matches("error: ").count(), 5, "{verb}:\n{complaint}");
        assert_eq!(complaint.matches("= help: ").count(), 5, "{verb}:\n{complaint}");
        for place in ["1:1", "4:32", "6:21", "7:55", "8:10"] {
            assert!(complaint.contains(&format!("--> unitbee.toml:{place}\n")), "{verb}, {place}:\n{complaint}");
        }
    }
    assert!(folder.run(&["install-unit", "llm"]).complains(65).contains("unitbee.toml:1:1\n"));

    let run = folder.run(&["--json", "plan"]).exits(65);
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((told["diagnostics"].as_array().unwrap().len(), run.stderr.as_str()), (5, ""), "{told:#}");
}

#[test]
fn a_manifest_that_is_no_text_is_a_mistake_with_a_place() {
    let folder = Folder::new();
    fs::write(folder.path("unitbee.toml"), b"[service.llm]\ndescription = 'caf\xe9'\n").unwrap();
    let complaint = folder.run(&["plan"]).complains(65);
    assert!(complaint.contains("the byte 0xe9 is not UTF-8"), "{complaint}");
    assert!(complaint.contains("--> unitbee.toml:2:19\n"), "{complaint}");
}

#[test]
fn a_starter_is_a_manifest_and_is_not_written_twice() {
    let folder = Folder::new();
    assert!(folder.run(&["init", "worker"]).prints().contains("wrote unitbee.toml"));
    let starter = folder.read("unitbee.toml");
    assert!(folder.run(&["render"]).prints().contains("# worker-main.service\n"));

    folder.write("unitbee.toml", "mine");
    let complaint = folder.run(&["init", "worker"]).complains(64);
    assert!(complaint.contains("unitbee.toml is there already") && complaint.contains("--force"), "{complaint}");
    assert_eq!(folder.read("unitbee.toml"), "mine");
    folder.run(&["init", "--force", "worker"]).prints();
    assert_eq!(folder.read("unitbee.toml"), starter);
    folder.run(&["-f", "other.toml", "init"]).prints();
    assert_eq!(folder.names(), ["other.toml", "unitbee.toml"]);
}

#[test]
fn units_are_rendered_to_the_screen_and_to_a_folder() {
    let folder = Folder::new();
    fs::copy(Path::new(ROOT).join("examples/llm.toml"), folder.path("unitbee.toml")).unwrap();
    let printed = folder.run(&["render"]).prints();
    let wrote = folder.run(&["render", "--out", "units/user"]).prints();
    let units = ["rbee.slice", "llm-8080.service", "llm-8081.service"];
    assert_eq!(wrote, units.map(|unit| format!("wrote units/user/{unit}\n")).concat());
    let files = units.map(|unit| format!("# {unit}\n{}\n", folder.read(&format!("units/user/{unit}"))));
    assert_eq!(printed, files.concat());

    let json: Value = serde_json::from_str(&folder.run(&["render", "llm-8081", "--json"]).prints()).unwrap();
    let names: Vec<&Value> = json.as_array().unwrap().iter().map(|file| &file["file"]).collect();
    assert_eq!(names, ["rbee.slice", "llm-8081.service"]);
    assert_eq!(json[1]["content"], folder.read("units/user/llm-8081.service"));

    let old = folder.run(&["render", "--systemd", "247"]).exits(0);
    assert!(!old.stdout.contains("RestartSteps=") && old.stderr.contains("note: llm-8080.service: "), "{}", old.stderr);
}

#[test]
fn property_lists_are_rendered_and_verified_without_a_mac() {
    let folder = Folder::new();
    fs::copy(Path::new(ROOT).join("examples/llm.toml"), folder.path("unitbee.toml")).unwrap();
    let wrote = folder.run(&["render", "--launchd", "--out", "agents"]).exits(0);
    let files = ["com.rbee.llm-8080.plist", "com.rbee.llm-8081.plist"];
    assert_eq!(wrote.stdout, files.map(|file| format!("wrote agents/{file}\n")).concat());
    assert!(wrote.stderr.contains("note: com.rbee.llm-8080.plist: launchd has no cap on CPU"), "{}", wrote.stderr);
    let read: plist::Dictionary = plist::from_file(folder.path("agents/com.rbee.llm-8081.plist")).unwrap();
    assert_eq!(read.get("Label").and_then(plist::Value::as_string), Some("com.rbee.llm-8081"));

    let both = folder.run(&["render", "--launchd", "--systemd", "247"]).exits(64);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);

    let verified = folder.run(&["verify", "--launchd"]).exits(0);
    assert_eq!(verified.stderr, "plutil is not on this machine: only unitbee's own checks were made\n");
    assert_eq!(verified.stdout, "2 files ok\n");
    folder.write("unitbee.toml", "[service.worker]\ncommand = ['/bin/true', \"\\u001b[0m\"]\n");
    let refused = folder.run(&["verify", "--launchd"]).exits(1);
    assert!(refused.stderr.contains("argument 1 cannot be written to a unit"), "{}", refused.stderr);
}

#[test]
fn verify_says_that_there_is_no_systemd_analyze() {
    let folder = Folder::new();
    folder.run(&["init", "worker"]).prints();
    let run = folder.run(&["verify"]).exits(0);
    assert_eq!(run.stderr, "systemd-analyze is not on this machine: only unitbee's own checks were made\n");
    assert_eq!(run.stdout, "2 files ok\n");
    let told: Value = serde_json::from_str(&folder.run(&["--json", "verify"]).prints()).unwrap();
    assert_eq!(told, json!({ "files": ["rbee.slice", "worker-main.service"], "checked_by": null }));

    // A unit has no `..`, but a manifest in a folder of its own has.
    folder.write("worker", "");
    fs::create_dir(folder.path("deploy")).unwrap();
    folder.write("deploy/unitbee.toml", "[service.worker]\ncommand = ['../worker']\n");
    folder.run(&["-f", "deploy/unitbee.toml", "verify"]).exits(0);
}

#[test]
fn verify_has_the_systemd_of_this_machine_read_the_units() {
    if let Err(error) = Command::new("systemd-analyze").arg("--version").output() {
        let test = "verify_has_the_systemd_of_this_machine_read_the_units";
        return skip::skip(test, &format!("systemd-analyze: {error}"));
    }
    let folder = Folder::new();
    let home = folder.path("nothing");
    let verify = || folder.run_with(&[("PATH", "/usr/bin:/bin"), ("HOME", home.to_str().unwrap())], &["verify"]);
    folder.run(&["init", "worker"]).prints();
    let complaint = verify().complains(1);
    assert!(complaint.contains("/worker is not executable: No such file"), "{complaint}");
    folder.write("worker", "#!/bin/sh\n");
    fs::set_permissions(folder.path("worker"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(verify().prints(), "2 files ok\n");
    let wrong = folder.read("unitbee.toml") + "[service.worker.systemd.Service]\nNice = 'very'\n";
    folder.write("unitbee.toml", &wrong);
    let complaint = verify().complains(1);
    assert!(complaint.contains("does not accept the files") && complaint.contains("'very'"), "{complaint}");
}

#[test]
fn the_schema_takes_every_example() {
    let schema: Value = serde_json::from_str(&Folder::new().run(&["schema"]).prints()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let examples: Vec<PathBuf> =
        fs::read_dir(Path::new(ROOT).join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(examples.len() >= 2, "{examples:?}");
    for example in examples {
        let table: toml::Table = toml::from_str(&fs::read_to_string(&example).unwrap()).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&serde_json::to_value(table).unwrap()).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{}", example.display());
    }
}

#[test]
fn packages_carry_what_is_printed() {
    let folder = Folder::new();
    let packaged = |name: &str| fs::read_to_string(Path::new(ROOT).join("packaging").join(name)).unwrap_or_default();
    let same = |name: &str, text: &str| assert!(packaged(name) == text, "packaging/{name} is old: packaging/generate");
    same("unitbee.schema.json", &folder.run(&["schema"]).prints());
    for (shell, name) in [("bash", "unitbee.bash"), ("zsh", "_unitbee"), ("fish", "unitbee.fish")] {
        same(&format!("completions/{name}"), &folder.run(&["completions", shell]).prints());
    }

    folder.run(&["man", "man"]).prints();
    let mut names: Vec<String> = verbs().iter().map(|verb| format!("man/unitbee-{verb}.1")).collect();
    names.push("man/unitbee.1".to_owned());
    assert_eq!(fs::read_dir(folder.path("man")).unwrap().count(), names.len());
    assert_eq!(fs::read_dir(Path::new(ROOT).join("packaging/man")).unwrap().count(), names.len());
    for name in names {
        same(&name, &folder.read(&name));
    }
}

#[test]
fn completions_know_every_verb() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = folder.run(&["completions", shell]).prints();
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell}: {verb}");
        }
    }
    folder.write("script", &folder.run(&["completions", "bash"]).prints());
    match Command::new("bash").arg("-n").arg(folder.path("script")).output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && told.is_empty(), "bash -n: {}\n{told}", output.status);
        }
        Err(error) => skip::skip("completions_know_every_verb", &format!("bash: {error}")),
    }
}
