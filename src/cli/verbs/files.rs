//! Verbs that only make files and text: init, render, verify, completions, man, schema.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::CommandFactory;

use super::super::args::{Cli, Global, Init, Render, Services, Verify};
use super::super::exit::Exit;
use super::super::fault::Usage;
use super::super::output::Output;
use super::super::output::progress::note;
use super::super::work::{self, MANIFEST};
use crate::host::{self, Base, Batch, Command, Content, End, Host, HostPath, Put, printable};
use crate::service::manifest::{self, Manifest, THIS_MACHINE};
use crate::service::render::{self, Launchd, Placement, Rendered, Systemd, Target};
use crate::service::spec::{Program, UnitSpec};
use crate::supervisor::layout;

const ANALYZE: &str = "systemd-analyze";
const PLUTIL: &str = "plutil";

/// `init`.
pub async fn init(global: &Global, args: &Init, output: Output) -> Result<Exit> {
    let path = global.file.clone().unwrap_or_else(|| Utf8PathBuf::from(MANIFEST));
    if !args.force && host::read_local(&path).await?.is_some() {
        let hint = "`unitbee init --force` overwrites it".to_owned();
        return Err(Usage { message: format!("{path} is there already"), hint }.into());
    }
    let text = manifest::starter(&args.service, &[format!("./{}", args.service)], None);
    write(vec![(path.clone(), text.into_bytes())]).await?;
    output.text(&format!("wrote {path}; `unitbee plan` shows what it means\n"))?;
    Ok(Exit::Done)
}

/// `render`.
pub async fn render(global: &Global, args: &Render, output: Output) -> Result<Exit> {
    let manifest = work::manifest(global).await?;
    let target = if args.launchd { launchd() } else { Target::Systemd(Systemd { version: args.systemd }) };
    let files = rendered(&manifest, &args.services, &target, &Places::OnHost).await?;
    if let Some(folder) = &args.out {
        let written = files.iter().map(|file| (folder.join(&file.name), file.bytes.clone())).collect();
        write(written).await?;
    }
    if output.json {
        let value = |file: &Rendered| serde_json::json!({ "file": file.name, "content": String::from_utf8_lossy(&file.bytes), "notes": file.notes });
        output.document(&files.iter().map(value).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    for file in &files {
        match &args.out {
            Some(folder) => output.text(&format!("wrote {}\n", folder.join(&file.name)))?,
            None => output.text(&format!("# {}\n{}\n", file.name, String::from_utf8_lossy(&file.bytes)))?,
        }
        file.notes.iter().for_each(|text| note(&format!("note: {}: {text}", file.name)));
    }
    Ok(Exit::Done)
}

/// `verify`.
pub async fn verify(global: &Global, args: &Verify, output: Output) -> Result<Exit> {
    let manifest = work::manifest(global).await?;
    let this = host::open(THIS_MACHINE, THIS_MACHINE, &work::options(global));
    let (tool, files) = if args.launchd {
        (PLUTIL, rendered(&manifest, &args.services, &launchd(), &Places::OnHost).await?)
    } else {
        let asked = this.run(&Command::new(ANALYZE).arg("--version")).await?;
        // Keys that this machine's systemd does not know yet are mistakes to it.
        let target = Target::Systemd(Systemd { version: version(&String::from_utf8_lossy(&asked.stdout)) });
        (ANALYZE, rendered(&manifest, &args.services, &target, &Places::Here).await?)
    };
    let is_there = check(this.as_ref(), tool, &files).await?;
    if output.json {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        output.document(&serde_json::json!({ "files": names, "checked_by": is_there.then_some(tool) }))?;
        return Ok(Exit::Done);
    }
    if !is_there {
        note(&format!("{tool} is not on this machine: only unitbee's own checks were made"));
    }
    output.text(&format!("{} ok\n", super::super::output::plural(files.len(), "file")))?;
    Ok(Exit::Done)
}

/// The number in `systemd 257 (257.9-1)`.
fn version(text: &str) -> Option<u32> {
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Has a tool of this machine look at files; tells whether there is such a tool.
async fn check(this: &dyn Host, tool: &str, files: &[Rendered]) -> Result<bool> {
    let folder = host::scratch()?;
    let folder = Utf8Path::from_path(folder.path()).context("the temporary folder has a name that is no text")?;
    let paths: Vec<Utf8PathBuf> = files.iter().map(|file| folder.join(&file.name)).collect();
    write(paths.iter().cloned().zip(files.iter().map(|file| file.bytes.clone())).collect()).await?;
    let how = if tool == PLUTIL { &["-lint", "-s"][..] } else { &["--user", "verify"] };
    let command = Command::new(tool)
        .args(how.iter().copied())
        .args(paths.iter().map(|path| path.as_str()))
        // systemd-analyze does not even begin without one; any folder will do.
        .env("XDG_RUNTIME_DIR", folder.as_str())
        .env("LC_ALL", "C");
    let found = this.run(&command).await?;
    if found.end == End::NotFound {
        return Ok(false);
    }
    let said = [found.stdout.as_slice(), &found.stderr].concat();
    if !found.success() || !said.is_empty() {
        // It exits with 0 for settings that it would ignore: each of its lines is a mistake.
        anyhow::bail!("{tool} does not accept the files:\n{}", printable(&said).trim_end());
    }
    Ok(true)
}

/// `schema`.
pub fn schema(output: Output) -> Result<Exit> {
    output.document(&manifest::schema())?;
    Ok(Exit::Done)
}

/// `completions`.
pub fn completions(shell: clap_complete::Shell, output: Output) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "unitbee", &mut text);
    output.text(&String::from_utf8(text)?)?;
    Ok(Exit::Done)
}

/// `man`.
pub async fn man(folder: &Utf8Path, output: Output) -> Result<Exit> {
    let mut pages = Vec::new();
    let mut command = Cli::command();
    command.build();
    page(&command, "unitbee", folder, &mut pages)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        page(verb, &format!("unitbee-{}", verb.get_name()), folder, &mut pages)?;
    }
    let count = pages.len();
    write(pages).await?;
    output.text(&format!("wrote {} to {folder}\n", super::super::output::plural(count, "page")))?;
    Ok(Exit::Done)
}

fn page(command: &clap::Command, name: &str, folder: &Utf8Path, pages: &mut Vec<(Utf8PathBuf, Vec<u8>)>) -> Result<()> {
    let mut text = Vec::new();
    // A date would make every page differ from day to day.
    clap_mangen::Man::new(command.clone().name(name.to_owned()).display_name(name)).date("").render(&mut text)?;
    pages.push((folder.join(format!("{name}.1")), text));
    Ok(())
}

/// Writes files of this machine, all or none.
async fn write(files: Vec<(Utf8PathBuf, Vec<u8>)>) -> Result<()> {
    let mut batch = Batch::default();
    for (path, bytes) in files {
        let path = camino::absolute_utf8(&path).with_context(|| format!("find {path}"))?;
        let path = HostPath::new(Base::Root, path.as_str().trim_start_matches('/'));
        batch.puts.push(Put { path, mode: 0o644, content: Content::Bytes(bytes) });
    }
    let this = host::open(THIS_MACHINE, THIS_MACHINE, &host::Options::default());
    this.change(&batch, &|_| ()).await?;
    Ok(())
}

/// Where the programs of rendered units are said to be.
enum Places {
    /// Where apply would put them, as far as that can be known without asking a host.
    OnHost,
    /// Where they are on this machine, for checks that look whether they exist.
    Here,
}

/// The account that files for launchd are shown for: the one that asks.
fn launchd() -> Target {
    let home = home();
    let logs = home.join(".local/state").join(&layout::logs().rel);
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "user".to_owned());
    Target::Launchd(Launchd { user, home, logs })
}

fn home() -> Utf8PathBuf {
    Utf8PathBuf::from(std::env::var("HOME").unwrap_or_else(|_| "/home/user".to_owned()))
}

async fn rendered(manifest: &Manifest, services: &Services, target: &Target, places: &Places) -> Result<Vec<Rendered>> {
    let mut files = Vec::new();
    if let Target::Systemd(_) = target {
        files.push(render::slice(&manifest.slice)?);
    }
    let work = manifest.select(&services.services, &[])?;
    let mut units: Vec<&UnitSpec> = work.iter().flat_map(|work| &work.units).collect();
    units.sort_by_key(|spec| &spec.unit);
    units.dedup_by_key(|spec| &spec.unit);
    for spec in units {
        let data = home().join(".local/share");
        let env_file = data.join(&layout::release_env(spec.unit.as_str(), 1).rel);
        let placement = Placement {
            program: program(spec, &data, places).await?,
            env_file: (!spec.secrets.is_empty()).then_some(env_file),
            release: 1,
        };
        files.push(render::definition(spec, &placement, target)?);
    }
    Ok(files)
}

async fn program(spec: &UnitSpec, data: &Utf8Path, places: &Places) -> Result<Utf8PathBuf> {
    Ok(match (&spec.program, places) {
        (Program::Path(path), Places::OnHost) => path.clone(),
        (Program::Shipped(path), Places::Here) => {
            host::local_file(path).await?.map_or_else(|| path.clone(), |file| file.path)
        }
        (Program::Path(_) | Program::Name(_), Places::Here) => Utf8PathBuf::from("/bin/sh"),
        (Program::Name(name), Places::OnHost) => Utf8Path::new("/usr/bin").join(name),
        (Program::Shipped(path), Places::OnHost) => {
            let digest = host::local_file(path).await?.map_or_else(|| "not-built-yet".to_owned(), |file| file.sha256);
            data.join(&layout::program(&digest, path.file_name().unwrap_or("program")).rel)
        }
    })
}
