//! A server for restic's REST protocol that can lie, stall and die: plain HTTP on the loopback, one thread for each
//! connection, gone with the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the server does to requests whose first line holds a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers them.
    Honest,
    /// Answers nothing, and keeps the connection.
    Stalls(&'static str),
    /// Says how long the answer is, and sends half of it.
    SendsHalf(&'static str),
    /// Says that the answer is longer than it is.
    SaysMore(&'static str),
    /// Says that the answer is shorter than it is.
    SaysLess(&'static str),
    /// Sends zeros for ever.
    NeverEnds(&'static str),
    /// Is not there any more, from the first such request on.
    Dies(&'static str),
}

/// The server; it stops when it is dropped.
pub struct Server {
    pub url: String,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// So long anything here lives at most.
const LIFE: Duration = Duration::from_secs(120);

struct Site {
    root: PathBuf,
    manner: Manner,
    stopping: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
}

struct Request {
    line: String,
    path: String,
    range: Option<(usize, usize)>,
    body: Vec<u8>,
}

impl Server {
    /// Serves a repository that lies in a directory.
    pub fn start(root: &Path, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("rest:http://{}/", listener.local_addr().unwrap());
        let (stopping, dead) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let site = Arc::new(Site {
            root: root.to_owned(),
            manner,
            stopping: Arc::clone(&stopping),
            dead: Arc::clone(&dead),
        });
        let stop = Arc::clone(&stopping);
        let thread = std::thread::spawn(move || {
            let born = Instant::now();
            // A listener that is dropped refuses connections, as that of a server that died.
            while !stop.load(Ordering::SeqCst)
                && !dead.load(Ordering::SeqCst)
                && born.elapsed() < LIFE
            {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let site = Arc::clone(&site);
                        std::thread::spawn(move || drop(site.serve(stream)));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { url, stopping, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Site {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LIFE))?;
        let Some(request) = Request::read(&stream)? else { return Ok(()) };
        let concerns = |text: &str| request.line.contains(text);
        match self.manner {
            Manner::Stalls(text) if concerns(text) => {
                self.wait();
                return Ok(());
            }
            Manner::Dies(text) if concerns(text) => self.dead.store(true, Ordering::SeqCst),
            _ => {}
        }
        if self.dead.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (status, mut body) = self.answer(&request);
        let mut length = body.len();
        match self.manner {
            Manner::SendsHalf(text) if concerns(text) => body.truncate(length / 2),
            Manner::SaysMore(text) if concerns(text) => length *= 2,
            Manner::SaysLess(text) if concerns(text) => length /= 2,
            Manner::NeverEnds(text) if concerns(text) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                let born = Instant::now();
                while !self.stopping.load(Ordering::SeqCst) && born.elapsed() < LIFE {
                    stream.write_all(&[b'0'; 4096])?;
                    std::thread::sleep(Duration::from_millis(1));
                }
                return Ok(());
            }
            _ => {}
        }
        let of = request.range.map(|(from, to)| format!("Content-Range: bytes {from}-{to}/*\r\n"));
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/vnd.x.restic.rest.v2\r\nContent-Length: {length}\r\n{}\
             Connection: close\r\n\r\n",
            of.unwrap_or_default()
        );
        stream.write_all(head.as_bytes())?;
        if !request.line.starts_with("HEAD") {
            stream.write_all(&body)?;
        }
        Ok(())
    }

    fn wait(&self) {
        let born = Instant::now();
        while !self.stopping.load(Ordering::SeqCst) && born.elapsed() < LIFE {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn answer(&self, request: &Request) -> (&'static str, Vec<u8>) {
        let path = request.path.trim_start_matches('/');
        let place = match path.strip_prefix("data/").filter(|id| id.len() > 2) {
            Some(id) => self.root.join("data").join(&id[..2]).join(id),
            None => self.root.join(path),
        };
        if request.line.starts_with("POST") {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, &request.body).unwrap();
            return ("200 OK", Vec::new());
        }
        if request.line.starts_with("DELETE") {
            let gone = fs::remove_file(place).is_ok();
            return (if gone { "200 OK" } else { "404 Not Found" }, Vec::new());
        }
        if path.ends_with('/') {
            let walk = walkdir::WalkDir::new(place).into_iter().filter_map(Result::ok);
            let files = walk.filter(|item| item.file_type().is_file()).map(|item| {
                let name = item.file_name().to_str().unwrap().to_owned();
                serde_json::json!({ "name": name, "size": item.metadata().unwrap().len() })
            });
            let all: Vec<serde_json::Value> = files.collect();
            return ("200 OK", serde_json::to_vec(&all).unwrap());
        }
        let Ok(bytes) = fs::read(place) else { return ("404 Not Found", Vec::new()) };
        match request.range {
            Some((from, to)) => {
                let end = (to.saturating_add(1)).min(bytes.len());
                ("206 Partial Content", bytes[from.min(end)..end].to_vec())
            }
            None => ("200 OK", bytes),
        }
    }
}

impl Request {
    fn read(stream: &TcpStream) -> std::io::Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let (mut length, mut range) = (0, None);
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? <= 2 {
                break;
            }
            let header = header.trim().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().unwrap_or(0);
            }
            if let Some((from, to)) =
                header.strip_prefix("range: bytes=").and_then(|value| value.split_once('-'))
            {
                range = Some((from.parse().unwrap_or(0), to.parse().unwrap_or(usize::MAX)));
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let path =
            line.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
        Ok(Some(Self { line, path, range, body }))
    }
}
