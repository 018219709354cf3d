//! One page: fetched whole within its limits, or a reason why not.

use reqwest::{StatusCode, Url, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{error::Error, fmt, path::PathBuf, sync::Arc, time::Duration};

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
    /// It is no URL, or none of `http` or `https`.
    Url(String),
    /// No connection: no such name, nobody there, a certificate that nobody vouches for.
    Unreachable(String),
    /// Not whole after this time.
    TimedOut(Duration),
    /// One redirect too many, or one to a place that is no web page.
    Redirected(String),
    /// The server says that there is no page: 404, say.
    Status(StatusCode),
    /// The page has more than this number of bytes.
    TooLarge(u64),
    /// The connection was closed early, or what came is no HTTP.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Url(why) => write!(f, "no address of a page: {why}"),
            Failure::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Failure::TimedOut(after) => write!(f, "timed out after {after:?}"),
            Failure::Redirected(why) => write!(f, "redirected: {why}"),
            Failure::Status(status) => write!(f, "{status}"),
            Failure::TooLarge(most) => write!(f, "larger than {most} bytes"),
            Failure::Broken(why) => write!(f, "broken answer: {why}"),
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
    http: reqwest::Client,
    timeout: Duration,
    most: u64,
}

impl Client {
    /// A client with these limits. It trusts the certificates of the system (or those in `SSL_CERT_FILE`).
    ///
    /// # Errors
    ///
    /// If the file with certificates cannot be read, or holds none.
    pub fn new(options: &Options) -> Result<Client, Box<dyn Error>> {
        let mut roots = RootCertStore::empty();
        // Some systems have none, or some that cannot be read: then there is no trust in what they vouch for.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &options.ca {
            let wrong = |e: &dyn fmt::Display| format!("--ca {}: {e}", path.display());
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
        let http = reqwest::Client::builder();
        let http = if options.proxies { http } else { http.no_proxy() };
        let http = http
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::limited(REDIRECTS))
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Client { http, timeout: options.timeout, most: options.most })
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
    async fn get_whole(&self, url: Url) -> Result<Page, Failure> {
        let mut response = self.http.get(url).send().await.map_err(reason)?; // other tasks run meanwhile
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
        Ok(Page { url: response.url().to_string(), body })
    }
    // ANCHOR_END: get
}

/// The innermost cause says what happened; what is around it, through how many hands it went.
fn reason(error: reqwest::Error) -> Failure {
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let why = cause.to_string();
    if error.is_connect() {
        Failure::Unreachable(why)
    } else if error.is_redirect() {
        Failure::Redirected(why)
    } else {
        Failure::Broken(why)
    }
}
