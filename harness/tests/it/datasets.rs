//! Fetching from a server that cuts connections, redirects, lies and changes its mind.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use crate::server::{canned, http, read_request};
use crate::support::timeslip;

fn sum(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    data_encoding::HEXLOWER.encode(&hash)
}

struct Cache {
    folder: tempfile::TempDir,
}

impl Cache {
    fn new(port: u16, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { folder };
        cache.catalogue(port, lines);
        cache
    }

    fn catalogue(&self, port: u16, lines: &str) {
        let text = format!(
            "[dataset.d]\nabout = \"A dataset.\"\nurl = \"http://127.0.0.1:{port}/data.bin\"\nlicence = \"MIT\"\n{lines}\n"
        );
        std::fs::write(self.path().join("catalogue.toml"), text).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Exit code, and what was printed, without the folder's name.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = timeslip()
            .current_dir(self.path())
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .arg("datasets")
            .args(arguments)
            .args(["--catalogue", "catalogue.toml"])
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let text = text.replace(&self.path().display().to_string(), "FOLDER");
        (output.status.code().unwrap(), text)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.path().join("cache/timeslip/datasets/d").join(name)
    }
}

const BODY: &[u8] = b"0123456789abcdefghij";

fn whole(tag: &str) -> Vec<u8> {
    let headers = format!("etag: {tag}\r\ncontent-length: {}\r\n", BODY.len());
    http("200 OK", &headers, std::str::from_utf8(BODY).unwrap())
}

/// Announces everything, sends `count` bytes and hangs up.
fn cut(count: usize, tag: &str) -> Vec<u8> {
    let mut response = whole(tag);
    response.truncate(response.len() - BODY.len() + count);
    response
}

fn rest(from: usize) -> Vec<u8> {
    let length = BODY.len();
    let headers = format!(
        "content-range: bytes {from}-{}/{length}\r\ncontent-length: {}\r\n",
        length - 1,
        length - from
    );
    let body = std::str::from_utf8(&BODY[from..]).unwrap();
    http("206 Partial Content", &headers, body)
}

#[test]
fn a_cut_connection_is_resumed_and_the_checksum_recorded() {
    let (port, server) = canned(vec![cut(7, "\"v1\""), rest(7)]);
    let cache = Cache::new(port, "");
    let (code, text) = cache.run(&["fetch", "d"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("recorded now") && text.contains("MIT"),
        "{text}"
    );
    let requests = server.join().unwrap();
    assert!(!requests[0].contains("range"), "{}", requests[0]);
    assert!(requests[1].contains("range: bytes=7-"), "{}", requests[1]);
    assert!(requests[1].contains("if-range: \"v1\""), "{}", requests[1]);
    assert_eq!(std::fs::read(cache.file("data.bin")).unwrap(), BODY);
    let record = std::fs::read_to_string(cache.file("data.bin.sha256")).unwrap();
    assert_eq!(record, format!("{}  data.bin\n", sum(BODY)));
    assert!(!cache.file("data.bin.part").exists());

    // Without a server: it is here.
    let (code, text) = cache.run(&["fetch", "d"]);
    assert!(
        code == 0 && text.contains("is here already") && text.contains("as it should be"),
        "{text}"
    );
    assert_eq!(cache.run(&["verify"]), (0, "d: ok\n".to_owned()));
    std::fs::write(cache.file("data.bin"), "changed").unwrap();
    let (code, text) = cache.run(&["verify", "d"]);
    assert!(code == 5 && text.contains("d: CHANGED"), "{text}");
    let (code, text) = cache.run(&["fetch", "d"]);
    assert!(code == 1 && text.contains("as it should"), "{text}");
}

#[test]
fn a_later_fetch_goes_on_where_an_earlier_one_was_killed() {
    let (port, server) = canned(vec![rest(5)]);
    let cache = Cache::new(port, &format!("sha256 = \"{}\"", sum(BODY)));
    std::fs::create_dir_all(cache.file("")).unwrap();
    std::fs::write(cache.file("data.bin.part"), &BODY[..5]).unwrap();
    std::fs::write(cache.file("data.bin.part.tag"), "\"v1\"").unwrap();
    let (code, text) = cache.run(&["fetch", "d"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("going on after 5 bytes") && text.contains("as it should be"),
        "{text}"
    );
    assert!(server.join().unwrap()[0].contains("range: bytes=5-"));
    assert_eq!(std::fs::read(cache.file("data.bin")).unwrap(), BODY);
}

#[test]
fn a_file_that_changed_meanwhile_begins_anew() {
    // The server knows another version and sends all of it, whatever was asked for.
    let (port, _server) = canned(vec![cut(3, "\"v1\""), whole("\"v2\"")]);
    let cache = Cache::new(port, "");
    let (code, text) = cache.run(&["fetch", "d"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(std::fs::read(cache.file("data.bin")).unwrap(), BODY);
    // What nothing is known about is not gone on with.
    let (port, server) = canned(vec![whole("W/\"weak\"")]);
    let cache = Cache::new(port, "");
    std::fs::create_dir_all(cache.file("")).unwrap();
    std::fs::write(cache.file("data.bin.part"), "other").unwrap();
    assert_eq!(cache.run(&["fetch", "d"]).0, 0);
    assert!(!server.join().unwrap()[0].contains("range"));
    assert_eq!(std::fs::read(cache.file("data.bin")).unwrap(), BODY);
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let (port, _server) = canned(vec![whole("\"v1\"")]);
    let cache = Cache::new(port, &format!("sha256 = \"{}\"", "0".repeat(64)));
    let (code, text) = cache.run(&["fetch", "d"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains(&sum(BODY)) && text.contains("what came was removed"),
        "{text}"
    );
    for name in ["data.bin", "data.bin.part", "data.bin.sha256"] {
        assert!(!cache.file(name).exists(), "{name}");
    }
    assert_eq!(cache.run(&["verify", "d"]), (5, "d: MISSING\n".to_owned()));
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let (port, server) = canned(vec![
        http("302 Found", "location: /else?where=1\r\n", ""),
        whole("\"v1\""),
    ]);
    let cache = Cache::new(port, "");
    let (code, text) = cache.run(&["fetch", "d"]);
    assert_eq!(code, 0, "{text}");
    assert!(server.join().unwrap()[1].starts_with("GET /else?where=1 "));

    let (port, _server) = endless_redirects();
    let cache = Cache::new(port, "");
    let (code, text) = cache.run(&["fetch", "d"]);
    assert!(
        code == 1 && text.contains("redirects more than 8 times"),
        "{text}"
    );
}

/// Redirects every request to itself.
fn endless_redirects() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            read_request(&stream);
            let _ = stream.write_all(&http(
                "307 Temporary Redirect",
                "location: /data.bin\r\n",
                "",
            ));
        }
    });
    (port, thread)
}

#[test]
fn what_is_not_there_is_said_at_once() {
    let (port, _server) = canned(vec![http("404 Not Found", "", "no")]);
    let cache = Cache::new(port, "");
    let (code, text) = cache.run(&["fetch", "d"]);
    assert!(
        code == 1 && text.contains("answers 404 Not Found"),
        "{text}"
    );
    let (code, text) = cache.run(&["fetch", "e"]);
    assert!(
        code == 2 && text.contains("dataset 'e': is not known; known are d"),
        "{text}"
    );
}

#[test]
fn the_list_shows_licence_address_and_state() {
    let cache = Cache::new(1, "");
    let (code, text) = cache.run(&["list"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(text, @r"
    d  A dataset.
       MIT · checksum recorded at the first fetch
       http://127.0.0.1:1/data.bin

    fetched to FOLDER/cache/timeslip/datasets
    ");
    let shipped = timeslip().args(["datasets", "list"]).output().unwrap();
    let text = String::from_utf8(shipped.stdout).unwrap();
    assert!(
        text.contains("swe-bench-verified") && text.contains("terminal-bench-2"),
        "{text}"
    );
}
