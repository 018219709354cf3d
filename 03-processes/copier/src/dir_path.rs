//! The path of a directory below a root, in memory that the paths share.
//!
//! A tree that is thousands of levels deep has paths of thousands of names each. Each directory
//! therefore holds its own name and a reference to the directory above it. Memory is proportional
//! to the number of directories, whatever their depth is.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A directory below a root. The default is the root itself.
#[derive(Debug, Clone, Default)]
pub(super) struct DirPath(Option<Arc<Node>>);

#[derive(Debug)]
struct Node {
    above: DirPath,
    name: Box<[u8]>,
    /// The number of names in the path, and its length in bytes.
    depth: usize,
    length: usize,
}

impl DirPath {
    /// The directory `name` in this one.
    pub(super) fn join(&self, name: &[u8]) -> Self {
        let (depth, length) = (self.depth() + 1, self.length() + name.len() + 1);
        Self(Some(Arc::new(Node { above: self.clone(), name: name.into(), depth, length })))
    }

    /// The directory above, and the name in it; `None` for the root.
    pub(super) fn parent(&self) -> Option<(&DirPath, &[u8])> {
        self.0.as_ref().map(|node| (&node.above, &node.name[..]))
    }

    /// The directory's own name; empty for the root.
    pub(super) fn name(&self) -> &[u8] {
        self.parent().map_or(&[], |(_, name)| name)
    }

    /// How many names the path has.
    pub(super) fn depth(&self) -> usize {
        self.0.as_ref().map_or(0, |node| node.depth)
    }

    /// The length of the path in bytes, with a separator for each name.
    pub(super) fn length(&self) -> usize {
        self.0.as_ref().map_or(0, |node| node.length)
    }

    /// Where it is in memory. Equal paths need not be in the same place.
    pub(super) fn address(&self) -> Option<*const ()> {
        self.0.as_ref().map(|node| Arc::as_ptr(node).cast())
    }

    /// Whether both share their memory.
    pub(super) fn is_shared_with(&self, other: &DirPath) -> bool {
        self.address() == other.address()
    }

    /// The names, separated by `/`; empty for the root.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Written from the end: the path is followed upwards.
        let mut bytes = vec![b'/'; self.length().saturating_sub(1)];
        let (mut end, mut at) = (bytes.len(), self);
        while let Some((above, name)) = at.parent() {
            let start = end - name.len();
            bytes[start..end].copy_from_slice(name);
            (end, at) = (start.saturating_sub(1), above);
        }
        bytes
    }

    /// The path of this directory, or of a name in it, if `root` is the path of the root.
    pub(super) fn below(&self, root: &[u8], name: Option<&[u8]>) -> Vec<u8> {
        let mut whole = root.to_vec();
        for part in [Some(&self.to_bytes()[..]), name].into_iter().flatten() {
            if !part.is_empty() {
                if !whole.ends_with(b"/") {
                    whole.push(b'/');
                }
                whole.extend_from_slice(part);
            }
        }
        whole
    }
}

impl PartialEq for DirPath {
    fn eq(&self, other: &Self) -> bool {
        if (self.depth(), self.length()) != (other.depth(), other.length()) {
            return false;
        }
        let (mut one, mut other) = (self, other);
        while !one.is_shared_with(other) {
            match (one.parent(), other.parent()) {
                (Some((above, name)), Some((other_above, other_name))) if name == other_name => {
                    (one, other) = (above, other_above);
                }
                _ => return false,
            }
        }
        true
    }
}

impl Eq for DirPath {}

impl From<&[u8]> for DirPath {
    fn from(bytes: &[u8]) -> Self {
        let names = bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.fold(Self::default(), |above, name| above.join(name))
    }
}

/// One directory after the other: with the destructor that the compiler makes, a deep path would
/// overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut above = self.above.0.take();
        while let Some(mut node) = above.and_then(Arc::into_inner) {
            above = node.above.0.take();
        }
    }
}

impl Serialize for DirPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DirPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&Vec::<u8>::deserialize(deserializer)?[..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_names() {
        let root = DirPath::default();
        let inner = root.join(b"a").join(b"bc").join(b"d");
        assert_eq!(inner.to_bytes(), b"a/bc/d");
        assert_eq!((inner.depth(), inner.length()), (3, 7));
        assert_eq!(DirPath::from(&b"a/bc/d"[..]).to_bytes(), b"a/bc/d");
        assert_eq!(inner.below(b"from", Some(b"x")), b"from/a/bc/d/x");
        assert_eq!(root.to_bytes(), b"");
        assert_eq!(
            (root.below(b"from", None), root.below(b"from", Some(b"x"))),
            (b"from".to_vec(), b"from/x".to_vec())
        );
        let (above, name) = inner.parent().unwrap();
        assert_eq!((&above.to_bytes()[..], name), (&b"a/bc"[..], &b"d"[..]));
        assert!(inner == DirPath::from(&b"a/bc/d"[..]) && inner != DirPath::from(&b"a/bb/d"[..]));
        assert!(root.parent().is_none() && inner.is_shared_with(&inner.clone()));
    }

    #[test]
    fn a_deep_path_is_dropped_on_a_small_stack() {
        let drop_it = || {
            let deep = (0..1_000_000).fold(DirPath::default(), |path, _| path.join(b"d"));
            let shared = deep.clone();
            drop(deep);
            assert_eq!(shared.depth(), 1_000_000);
        };
        std::thread::Builder::new().stack_size(64 << 10).spawn(drop_it).unwrap().join().unwrap();
    }
}
