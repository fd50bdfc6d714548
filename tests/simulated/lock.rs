//! The lock of the simulated host: see `templates/host/lock.sh`.

use camino::Utf8PathBuf;
use unitbee::host::{Base, Fence, HostPath};
use unitbee::supervisor::layout;

use super::change::mode_of_folder;
use super::tree::Bytes;
use super::world::{NODE, World};

const FREE: &str = "free";

impl World {
    fn lock_folder(&self, name: &str) -> Utf8PathBuf {
        self.resolve(&HostPath::new(Base::State, format!("unitbee/lock/{name}@{NODE}"))).expect("this host has it")
    }

    /// Who holds the lock, as the name of the token.
    pub(crate) fn holder(&self, name: &str) -> Option<String> {
        let folder = self.lock_folder(name);
        self.tree.names(&folder).find(|token| *token != FREE).map(ToOwned::to_owned)
    }

    /// Takes a lock that nobody holds.
    pub(crate) fn take_lock(&mut self, name: &str) -> Result<Fence, (String, &'static str)> {
        let folder = self.lock_folder(name);
        let free = folder.join(FREE);
        if !self.tree.exists(&free) {
            if self.disk_full {
                return Err((
                    format!("make folder {}", folder.parent().expect("it has one")),
                    "No space left on device",
                ));
            }
            self.tree.make_folders(&folder, mode_of_folder);
            self.tree.put(&free, 0o600, Bytes::new([]));
        }
        let token = folder.join(format!("1.1.{}.{}.0.bee", self.boot_id(), self.nonce()));
        self.tree.rename(&free, &token);
        Ok(Fence::new(HostPath::new(Base::Root, token.strip_prefix("/").expect("it is absolute"))))
    }

    /// Gives every lock back. The token stays for as long as anything of ours is on the host.
    pub(crate) fn give_back_locks(&mut self) {
        let locks = self.lock_folder("x").parent().expect("it has one").to_owned();
        let root = self.resolve(&layout::root()).expect("this host has it");
        let folders: Vec<Utf8PathBuf> = self.tree.names(&locks).map(|name| locks.join(name)).collect();
        for folder in folders {
            let tokens: Vec<Utf8PathBuf> = self.tree.names(&folder).map(|token| folder.join(token)).collect();
            for token in tokens {
                if self.tree.names(&root).any(|name| !name.starts_with('.')) {
                    self.tree.rename(&token, &folder.join(FREE));
                } else {
                    self.tree.remove(&token);
                }
            }
            self.tree.remove_empty(&folder);
        }
        self.tree.remove_empty(&locks);
        self.tree.remove_empty(locks.parent().expect("it has one"));
    }
}
