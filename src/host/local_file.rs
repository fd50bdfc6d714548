//! A file of this machine that is to be shipped: read once, for its digest, its length and its kind.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::HostError;

/// How much of a file is kept in memory: the load commands of a program for a Mac are some thousand bytes long.
const HEAD: usize = 64 << 10;

/// What is known of a file of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Where it is, past links and `..`.
    pub path: Utf8PathBuf,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub len: u64,
    /// Whether anybody may execute it.
    pub executable: bool,
    /// Its first bytes, at most 64 KiB.
    pub head: Vec<u8>,
}

/// Reads a file of this machine; `None` where there is no file of that name.
pub async fn local_file(path: &Utf8Path) -> Result<Option<LocalFile>, HostError> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read(&owned)).await;
    let failed = |source| HostError::Io { host: "localhost".into(), during: format!("read {path}"), source };
    match read.map_err(std::io::Error::other).and_then(std::convert::identity) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn read(path: &Utf8Path) -> std::io::Result<LocalFile> {
    #[expect(clippy::disallowed_methods, reason = "this is Host's own reading of this machine")]
    let mut file = std::fs::File::open(path)?;
    let executable = file.metadata()?.permissions().mode() & 0o111 != 0;
    let (mut head, mut len, mut digest) = (Vec::new(), 0, Sha256::new());
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        head.extend_from_slice(&buffer[..count.min(HEAD - head.len())]);
        digest.update(&buffer[..count]);
        len += count as u64;
    }
    let sha256 = hex::encode(digest.finalize());
    let path = path.canonicalize_utf8()?;
    Ok(LocalFile { path, sha256, len, executable, head })
}

/// Opens a file of this machine for `inspect`, which reads of it what it needs.
pub async fn inspect_local<T: Send + 'static>(
    path: &Utf8Path,
    inspect: impl FnOnce(File) -> T + Send + 'static,
) -> Result<T, HostError> {
    let owned = path.to_owned();
    #[expect(clippy::disallowed_methods, reason = "this is Host's own reading of this machine")]
    let open = move || std::fs::File::open(owned).map(inspect);
    let read = tokio::task::spawn_blocking(open).await.map_err(std::io::Error::other);
    read.and_then(std::convert::identity).map_err(|source| HostError::Io {
        host: "localhost".into(),
        during: format!("read {path}"),
        source,
    })
}

/// Reads a file of this machine; `None` where there is none.
pub async fn read_local(path: &Utf8Path) -> Result<Option<Vec<u8>>, HostError> {
    #[expect(clippy::disallowed_methods, reason = "this is Host's own reading of this machine")]
    match tokio::fs::read(path).await {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HostError::Io { host: "localhost".into(), during: format!("read {path}"), source }),
    }
}

/// Makes a folder of this machine that goes when it is dropped.
pub fn scratch() -> Result<tempfile::TempDir, HostError> {
    let made = tempfile::Builder::new().prefix("unitbee-").tempdir();
    made.map_err(|source| HostError::Io { host: "localhost".into(), during: "make a temporary folder".into(), source })
}
