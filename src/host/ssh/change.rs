//! A batch as the tar stream that `templates/host/change.sh` reads: contents, their digests, then the plan.

#![expect(clippy::disallowed_methods, reason = "files of this machine are shipped from here")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tar::{Builder, Header};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::super::query::Base;
use super::super::{Batch, Content, HostPath, Put};

/// How much is read ahead of the connection: chunks of this many bytes, this many of them.
const CHUNK: usize = 64 << 10;
const AHEAD: usize = 8;

/// A batch on its way out.
pub(super) struct Stream {
    /// The bytes, as they come to be.
    pub(super) chunks: Receiver<Vec<u8>>,
    /// How many bytes of content were read so far.
    pub(super) sent: Arc<AtomicU64>,
    /// Ends when all was read, or with what could not be read.
    pub(super) reading: JoinHandle<io::Result<()>>,
}

/// Begins to read what a batch ships, on a thread of its own; memory stays small however large the files are.
pub(super) fn stream(batch: &Batch) -> Stream {
    let (sender, chunks) = channel(AHEAD);
    let sent = Arc::new(AtomicU64::new(0));
    let (batch, counter) = (batch.clone(), Arc::clone(&sent));
    let reading = tokio::task::spawn_blocking(move || {
        let mut out = Chunked { sender, chunk: Vec::new() };
        if batch.puts.is_empty() {
            // Nothing is to be staged: the plan alone needs no place on the disk.
            out.write_all(&plan(&batch))?;
            return out.flush();
        }
        archive(&batch, &counter, out)
    });
    Stream { chunks, sent, reading }
}

/// Names a base as the scripts do.
pub(super) fn base(base: Base) -> &'static str {
    match base {
        Base::Root => "root",
        Base::Home => "home",
        Base::Config => "config",
        Base::Data => "data",
        Base::State => "state",
        Base::Runtime => "runtime",
        Base::Cgroup => "cgroup",
    }
}

fn archive(batch: &Batch, sent: &AtomicU64, out: Chunked) -> io::Result<()> {
    let mut tar = Builder::new(out);
    let mut sums = String::new();
    for (index, put) in batch.puts.iter().enumerate() {
        let name = index.to_string();
        let digest = append(&mut tar, &name, put, sent)?;
        sums.extend([digest.as_str(), "  ", name.as_str(), "\n"]);
    }
    append_text(&mut tar, "sums", sums.as_bytes())?;
    append_text(&mut tar, "plan", &plan(batch))?;
    tar.into_inner()?.flush()
}

fn append(tar: &mut Builder<Chunked>, name: &str, put: &Put, sent: &AtomicU64) -> io::Result<String> {
    match &put.content {
        Content::Bytes(bytes) => {
            tar.append_data(&mut header(bytes.len() as u64, put.mode), name, bytes.as_slice())?;
            sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(hex::encode(Sha256::digest(bytes)))
        }
        Content::File { path, len, sha256 } => {
            let changed = || io::Error::other(format!("{path} changed while it was shipped"));
            let mut file = Shipped { file: File::open(path)?, left: *len, sent, digest: Sha256::new() };
            if file.file.metadata()?.len() != *len {
                return Err(changed());
            }
            tar.append_data(&mut header(*len, put.mode), name, &mut file)?;
            if file.left > 0 || hex::encode(file.digest.finalize()) != *sha256 {
                return Err(changed());
            }
            Ok(sha256.clone())
        }
    }
}

fn append_text(tar: &mut Builder<Chunked>, name: &str, text: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(text.len() as u64, 0o600), name, text)
}

fn header(len: u64, mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_size(len);
    header.set_mode(mode);
    header.set_mtime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    header
}

/// Writes the steps, three lines for each and one more for what is appended; neither a path, see [`HostPath::fault`], nor
/// what is appended holds a newline.
fn plan(batch: &Batch) -> Vec<u8> {
    let step = |verb: &str, path: &HostPath| format!("{verb}\n{}\n{}\n", base(path.base), path.rel).into_bytes();
    let puts = batch.puts.iter().map(|put| step("put", &put.path));
    let removes = batch.removes.iter().map(|path| step("remove", path));
    let appends =
        batch.appends.iter().map(|append| [step("append", &append.path), append.line.clone(), b"\n".into()].concat());
    let prune = batch.prune.iter().map(|path| step("prune", path));
    puts.chain(removes).chain(appends).chain(prune).chain([b"end\n".into()]).flatten().collect()
}

/// A file on its way out: counted, digested, and never longer than it was said to be.
struct Shipped<'a> {
    file: File,
    left: u64,
    sent: &'a AtomicU64,
    digest: Sha256,
}

impl Read for Shipped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..most])?;
        self.digest.update(&buffer[..read]);
        self.left -= read as u64;
        self.sent.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Collects what is written into chunks and hands them over; ends when nobody takes them.
struct Chunked {
    sender: Sender<Vec<u8>>,
    chunk: Vec<u8>,
}

impl Write for Chunked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK + 4096));
        self.sender.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Append;
    use super::*;

    #[test]
    fn the_plan_is_lines() {
        let path = |rel: &str| HostPath::new(Base::Config, rel);
        let batch = Batch {
            puts: vec![Put { path: path("a b"), mode: 0o644, content: Content::Bytes(b"x".to_vec()) }],
            removes: vec![path("c")],
            appends: vec![Append { path: path("e"), line: b"one line".to_vec() }],
            prune: vec![path("d")],
            fence: None,
        };
        let plan = String::from_utf8(plan(&batch)).unwrap();
        let steps = "put\nconfig\na b\nremove\nconfig\nc\nappend\nconfig\ne\none line\nprune\nconfig\nd\nend\n";
        assert_eq!(plan, steps);
    }

    #[tokio::test]
    async fn a_file_that_changed_is_not_shipped_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "12345").unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(path).unwrap();
        let good = hex::encode(Sha256::digest("12345"));
        for (len, sha256, sound) in
            [(5, &good, true), (4, &good, false), (6, &good, false), (5, &"0".repeat(64), false)]
        {
            let content = Content::File { path: path.clone(), len, sha256: sha256.clone() };
            let put = Put { path: HostPath::new(Base::Data, "x"), mode: 0o755, content };
            let Stream { mut chunks, reading, .. } = stream(&Batch { puts: vec![put], ..Batch::default() });
            let mut bytes = Vec::new();
            while let Some(chunk) = chunks.recv().await {
                bytes.extend(chunk);
            }
            assert_eq!(reading.await.unwrap().is_ok(), sound, "{len} {sha256}");
            // Without its plan, the archive changes nothing.
            assert_eq!(bytes.windows(9).any(|window| window == b"put\ndata\n"), sound);
        }
    }
}
