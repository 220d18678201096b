//! Finds where this process may make control groups.
//!
//! Version 1 has a tree for each controller; version 2 has one tree, in which a
//! group has the controllers its parent hands on. A process without privileges is
//! usually in a group of its own below one that was handed to its user, so its own
//! group is tried first and then those above it.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::owner::Owner;
use super::{CgroupVersion, Controller, ParentGroup, admits};

/// A mounted tree of groups.
#[derive(Debug, PartialEq, Eq)]
struct Tree {
    point: PathBuf,
    /// What of the tree is at the mount point.
    root: String,
    version: CgroupVersion,
    /// Version 1: the names of its controllers.
    options: Vec<String>,
}

const REASON: &str = "no control group can be made by this user, so processes and memory are bounded one by one, not together; try `systemd-run --user --scope -p Delegate=yes timeslip …`, or a container or session with its own control groups";

/// The directories to make groups in; otherwise why there are none.
pub(super) fn parents() -> Result<Vec<ParentGroup>, String> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let trees = trees(&read("/proc/self/mountinfo"));
    let own = read("/proc/self/cgroup");
    let found = version_two(&trees, &own).or_else(|| version_one(&trees, &own));
    found.ok_or_else(|| REASON.to_owned())
}

/// One parent with memory and processes, and the processor where it can be had.
fn version_two(trees: &[Tree], own: &str) -> Option<Vec<ParentGroup>> {
    let tree = trees
        .iter()
        .find(|tree| tree.version == CgroupVersion::Two)?;
    let candidates = candidates(tree, own_path(own, "")?);
    candidates
        .iter()
        .enumerate()
        .find_map(|(index, directory)| {
            if index == 0 {
                // Refused where processes are in the way, and then one above may do.
                let _ = fs::write(
                    directory.join("cgroup.subtree_control"),
                    "+memory +pids +cpu",
                );
            }
            let controllers = [
                Controller::Memory,
                Controller::Processes,
                Controller::Cpu,
                Controller::CpuTime,
            ];
            let parent = usable(directory, CgroupVersion::Two, &controllers)?;
            let bounds = |controller| parent.controllers.contains(&controller);
            (bounds(Controller::Memory) && bounds(Controller::Processes)).then(|| vec![parent])
        })
}

/// One parent for each controller; memory and processes are needed.
fn version_one(trees: &[Tree], own: &str) -> Option<Vec<ParentGroup>> {
    let find = |controller: Controller| {
        let name = name(controller);
        let tree = trees
            .iter()
            .filter(|tree| tree.version == CgroupVersion::One)
            .find(|tree| tree.options.iter().any(|option| option == name))?;
        candidates(tree, own_path(own, name)?)
            .iter()
            .find_map(|directory| usable(directory, CgroupVersion::One, &[controller]))
    };
    let mut parents = vec![find(Controller::Memory)?, find(Controller::Processes)?];
    parents.extend(find(Controller::Cpu));
    // Mostly in one tree with the processor.
    if let Some(time) = find(Controller::CpuTime) {
        let mut known = parents.iter_mut();
        match known.find(|known| known.directory == time.directory) {
            Some(known) => known.controllers.extend(time.controllers),
            None => parents.push(time),
        }
    }
    Some(parents)
}

fn name(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => "memory",
        Controller::Processes => "pids",
        Controller::Cpu => "cpu",
        Controller::CpuTime => "cpuacct",
    }
}

/// The file whose presence shows that a group has a controller.
fn telling_file(version: CgroupVersion, controller: Controller) -> &'static str {
    match (version, controller) {
        (CgroupVersion::One, Controller::Memory) => "memory.limit_in_bytes",
        (CgroupVersion::Two, Controller::Memory) => "memory.max",
        (_, Controller::Processes) => "pids.max",
        (CgroupVersion::One, Controller::Cpu) => "cpu.cfs_quota_us",
        (CgroupVersion::Two, Controller::Cpu) => "cpu.max",
        (CgroupVersion::One, Controller::CpuTime) => "cpuacct.usage",
        (CgroupVersion::Two, Controller::CpuTime) => "cpu.stat",
    }
}

/// Tries to make a group, move a process into it and remove it again.
fn usable(directory: &Path, version: CgroupVersion, wanted: &[Controller]) -> Option<ParentGroup> {
    let trial = directory.join(Owner::current().name());
    fs::create_dir(&trial).ok()?;
    let controllers: Vec<Controller> = wanted
        .iter()
        .copied()
        .filter(|controller| trial.join(telling_file(version, *controller)).exists())
        .collect();
    // Looks into the group and removes it, whatever comes of it.
    let admits = admits(&trial);
    (admits && !controllers.is_empty()).then(|| ParentGroup {
        directory: directory.to_path_buf(),
        version,
        controllers,
    })
}

/// The own group of a process and those above it, as far as they are mounted.
fn candidates(tree: &Tree, own: &str) -> Vec<PathBuf> {
    let below = Path::new(own)
        .strip_prefix(&tree.root)
        .unwrap_or(Path::new(""));
    below
        .ancestors()
        .map(|path| tree.point.join(path))
        .collect()
}

/// The own group in the tree of a controller; of version 2 with an empty name.
fn own_path<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        let found = names.split(',').any(|name| name == controller);
        (found && !path.split('/').any(|part| part == "..")).then_some(path)
    })
}

/// The trees in `/proc/self/mountinfo`.
fn trees(mounts: &str) -> Vec<Tree> {
    mounts
        .lines()
        .filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let mut place = place.split(' ').skip(3);
            let (root, point) = (place.next()?, place.next()?);
            let mut kind = kind.split(' ');
            let version = match kind.next()? {
                "cgroup" => CgroupVersion::One,
                "cgroup2" => CgroupVersion::Two,
                _ => return None,
            };
            let options = kind.nth(1)?.split(',').map(str::to_owned).collect();
            Some(Tree {
                point: PathBuf::from(point),
                root: root.to_owned(),
                version,
                options,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
36 31 0:33 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
42 31 0:39 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn trees_are_read_from_the_mounts() {
        let trees = trees(HYBRID);
        let points: Vec<_> = trees.iter().map(|tree| tree.point.as_path()).collect();
        assert_eq!(
            points,
            [
                Path::new("/sys/fs/cgroup/memory"),
                Path::new("/sys/fs/cgroup/cpu,cpuacct"),
                Path::new("/sys/fs/cgroup/unified")
            ]
        );
        assert_eq!(trees[2].version, CgroupVersion::Two);
        assert!(trees[1].options.contains(&"cpuacct".to_owned()));
    }

    #[test]
    fn the_own_group_comes_first_and_those_above_it_after() {
        let own = "5:cpu,cpuacct:/a\n4:memory:/user.slice/a\n0::/user.slice/user-1.slice\n";
        assert_eq!(own_path(own, "memory"), Some("/user.slice/a"));
        assert_eq!(own_path(own, "cpuacct"), Some("/a"));
        assert_eq!(own_path(own, ""), Some("/user.slice/user-1.slice"));
        assert_eq!(own_path(own, "pids"), None);
        assert_eq!(own_path("0::/../../a", ""), None);

        let tree = |root: &str| Tree {
            point: PathBuf::from("/c"),
            root: root.to_owned(),
            version: CgroupVersion::Two,
            options: Vec::new(),
        };
        let paths = [Path::new("/c/a/b"), Path::new("/c/a"), Path::new("/c/")];
        assert_eq!(candidates(&tree("/"), "/a/b"), paths);
        // In a container its own group is what is mounted.
        assert_eq!(candidates(&tree("/x/y"), "/x/y"), [Path::new("/c/")]);
        assert_eq!(candidates(&tree("/x/y"), "/z"), [Path::new("/c/")]);
    }

    proptest! {
        #[test]
        fn nothing_the_kernel_says_makes_it_stumble(text in "([0-9:/ a-z,-]|\n){0,200}") {
            let _ = (trees(&text), own_path(&text, "memory"));
        }
    }
}
