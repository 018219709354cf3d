//! One page: fetched whole within its limits, or a reason why not.

use hyper_util::client::legacy::{self, connect::HttpInfo};
use reqwest::{Response, StatusCode, Url, header::LOCATION, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    collections::HashSet,
    error::Error,
    fmt,
    io::{self, ErrorKind},
    iter,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use util::text::{visible, visible_bytes};

/// The longest way from a URL to its page, in redirects.
const REDIRECTS: usize = 10;

/// What a page may cost.
#[derive(Clone, Debug)]
pub struct Options {
    /// The longest it may take: look-up, connection, all redirects, and the last byte.
    pub timeout: Duration,
    /// The most bytes its body may have.
    pub most: u64,
    /// A PEM file of certificates that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// Whether the system's proxies are used: `http_proxy`, `https_proxy`, `no_proxy`.
    pub proxies: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_secs(30), most: 10 << 20, ca: None, proxies: true }
    }
}

/// A page that came whole.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it was in the end, after redirects.
    pub url: String,
    /// What the server sent: bytes, whatever they mean.
    pub body: Vec<u8>,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is not a URL, or its scheme is neither `http` nor `https`.
    Url(String),
    /// No connection: no such name, nobody there, a certificate that nobody vouches for.
    Unreachable(String),
    /// Not whole after this time.
    TimedOut(Duration),
    /// One redirect too many, or one that is not followed: without a location, to another scheme
    /// than `http` and
    /// `https`, or from `https` to `http`.
    Redirected(String),
    /// The server says that there is no page: 404, say.
    Status(StatusCode),
    /// The page has more than this number of bytes.
    TooLarge(u64),
    /// The connection was closed early, or what came is no HTTP.
    Broken(String),
}

/// What servers and libraries have said is shown as [`visible`] text.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Url(why) => write!(f, "invalid URL: {}", visible(why)),
            Failure::Unreachable(why) => write!(f, "cannot be reached: {}", visible(why)),
            Failure::TimedOut(after) => write!(f, "timed out after {after:?}"),
            Failure::Redirected(why) => write!(f, "redirected: {why}"),
            Failure::Status(status) => write!(f, "{status}"),
            Failure::TooLarge(most) => write!(f, "larger than {most} bytes"),
            Failure::Broken(why) => write!(f, "broken answer: {}", visible(why)),
        }
    }
}

impl Error for Failure {}

/// Fetches pages. A clone uses the same connections.
///
/// ```
/// use fetch::{Answer, Client, Options, Server};
///
/// let server = Server::start(|_path| Answer::page("hello"))?;
/// let client = Client::new(&Options::default())?;
/// let page = fetch::run(client.get(&server.url("/")))??;
/// assert_eq!(page.body, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    /// Keeps connections for further requests.
    http: reqwest::Client,
    /// Keeps none.
    fresh: reqwest::Client,
    /// The addresses on this machine of connections that have brought an answer.
    answered: Arc<Mutex<HashSet<SocketAddr>>>,
    timeout: Duration,
    most: u64,
}

impl Client {
    /// A client with these limits. It trusts the certificates of the system (or those in
    /// `SSL_CERT_FILE`).
    ///
    /// # Errors
    ///
    /// If the file with certificates cannot be read, or holds none.
    pub fn new(options: &Options) -> Result<Client, Box<dyn Error>> {
        let mut roots = RootCertStore::empty();
        // Some systems have none, or some that cannot be read: then there is no trust in what they
        // vouch for.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &options.ca {
            let wrong = |e: &dyn fmt::Display| format!("--ca {}: {e}", visible(path));
            let mut found = 0;
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(&e))? {
                roots.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
                found += 1;
            }
            if found == 0 {
                return Err(wrong(&"no certificate in it").into());
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let builder = || {
            let http = reqwest::Client::builder();
            let http = if options.proxies { http } else { http.no_proxy() };
            let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
            // Redirects are followed here, hop by hop.
            let http = http.tls_backend_preconfigured(tls.clone());
            http.redirect(redirect::Policy::none()).user_agent(agent)
        };
        Ok(Client {
            http: builder().build()?,
            fresh: builder().pool_max_idle_per_host(0).build()?,
            answered: Arc::default(),
            timeout: options.timeout,
            most: options.most,
        })
    }

    /// Fetches the page at `url`.
    ///
    /// # Errors
    ///
    /// Why there is none. It never takes longer than the time-out.
    pub async fn get(&self, url: &str) -> Result<Page, Failure> {
        let url = Url::parse(url).map_err(|e| Failure::Url(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::Url(format!("{:?} is neither http nor https", url.scheme())));
        }
        let in_time = tokio::time::timeout(self.timeout, self.get_whole(url)).await;
        in_time.unwrap_or(Err(Failure::TimedOut(self.timeout)))
    }

    // ANCHOR: get
    async fn get_whole(&self, mut url: Url) -> Result<Page, Failure> {
        let mut response = self.ask(&url).await?; // other tasks run meanwhile
        let mut redirects = 0;
        while let Some(next) = redirected(&url, &response)? {
            redirects += 1;
            if redirects > REDIRECTS {
                return Err(Failure::Redirected("too many redirects".into()));
            }
            url = next;
            response = self.ask(&url).await?;
        }
        if !response.status().is_success() {
            return Err(Failure::Status(response.status()));
        }
        let too_large = |length| length > self.most;
        if response.content_length().is_some_and(too_large) {
            return Err(Failure::TooLarge(self.most)); // as it says itself
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(reason)? {
            body.extend_from_slice(&piece);
            if too_large(body.len() as u64) {
                return Err(Failure::TooLarge(self.most)); // and what does not say it, or lies
            }
        }
        Ok(Page { url: url.to_string(), body })
    }
    // ANCHOR_END: get

    /// Sends one request. A server may close a kept connection at any time, also while the next
    /// request is on its way. That says nothing about the page, so the request is sent once more,
    /// on a new connection.
    async fn ask(&self, url: &Url) -> Result<Response, Failure> {
        match self.http.get(url.clone()).send().await {
            Ok(response) => {
                if let Some(connection) = response.extensions().get::<HttpInfo>() {
                    let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
                    answered.insert(connection.local_addr());
                }
                Ok(response)
            }
            Err(error) if is_closed(&error) && self.has_answered(&error) => {
                self.fresh.get(url.clone()).send().await.map_err(reason)
            }
            Err(error) => Err(reason(error)),
        }
    }

    /// Whether the connection with this error has brought an answer before.
    fn has_answered(&self, error: &reqwest::Error) -> bool {
        let connected = causes(error).find_map(|cause| cause.downcast_ref::<legacy::Error>());
        let Some(connected) = connected.and_then(legacy::Error::connect_info) else { return false };
        let mut about = Default::default();
        connected.get_extras(&mut about);
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        about.get::<HttpInfo>().is_some_and(|info| answered.contains(&info.local_addr()))
    }
}

/// Where `response` to a request for `url` sends its client, or `None` if it is not a redirect.
fn redirected(url: &Url, response: &Response) -> Result<Option<Url>, Failure> {
    let status = response.status();
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refused = |why: String| Err(Failure::Redirected(why));
    let Some(location) = response.headers().get(LOCATION) else {
        return refused(format!("{status} without a location"));
    };
    let location = location.as_bytes();
    let mut next = match str::from_utf8(location).map(|location| url.join(location)) {
        Ok(Ok(next)) => next,
        Ok(Err(why)) => return refused(format!("to {:?}: {why}", visible_bytes(location))),
        Err(_) => return refused(format!("to {:?}, which is not UTF-8", visible_bytes(location))),
    };
    let to = visible(next.as_str());
    match (url.scheme(), next.scheme()) {
        ("https", "http") => refused(format!("from https to {to:?}, which is not encrypted")),
        (_, "http" | "https") => {
            if next.fragment().is_none() {
                next.set_fragment(url.fragment());
            }
            Ok(Some(next))
        }
        _ => refused(format!("to {to:?}, which is neither http nor https")),
    }
}

/// Whether the connection was closed before an answer's head was complete.
fn is_closed(error: &reqwest::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let closed = [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof];
    causes(error).any(|cause| {
        let http = cause.downcast_ref::<hyper::Error>();
        let system = cause.downcast_ref::<io::Error>();
        http.is_some_and(|e| e.is_incomplete_message() || e.is_canceled() || e.is_closed())
            || system.is_some_and(|e| closed.contains(&e.kind()))
    })
}

/// An error, its cause, the cause of that, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source())
}

/// The innermost cause says what happened; the others, through which layers it went.
fn reason(error: reqwest::Error) -> Failure {
    let why = causes(&error).last().map(ToString::to_string).unwrap_or_default();
    if error.is_connect() { Failure::Unreachable(why) } else { Failure::Broken(why) }
}
