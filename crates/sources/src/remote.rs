//! What adapters over HTTP share: asking with retries, JSON that may be anything, bodies with ranges, addresses.

use crate::source::{Body, BoxFuture, ByteRange, ListedFile};
use crate::{SourceError, adapters::Surroundings};
use futures_util::StreamExt as _;
use sovai_core::PathSet;
use sovai_http::Url;
use sovai_http::{Client, HttpError, Request, Response, Retry};
use sovai_listing::{Bounds, Entry, ListingError};
use std::time::Duration;

/// Most files of a model. Models have some hundreds; data sets, which go beyond that, are no models.
pub(crate) const MAX_FILES: usize = 200_000;
/// Bounds of one answer with a list: 200,000 entries of Hugging Face are some 50 MB.
pub(crate) const BOUNDS: Bounds = Bounds { bytes: 64 << 20, files: MAX_FILES };

/// A source that is asked over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    /// The source as the manifest writes it.
    pub(crate) origin: String,
    http: Client,
    retry: Retry,
}

/// A whole answer in memory.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its body.
    pub(crate) bytes: Vec<u8>,
    /// Its `Link` header.
    pub(crate) link: Option<String>,
}

/// What an adapter makes of a failed request; `None` leaves the request's own error.
pub(crate) type Explain<'a> = &'a (dyn Fn(&HttpError) -> Option<SourceError> + Sync);

impl Remote {
    pub(crate) fn new(origin: &str, surroundings: &Surroundings) -> Self {
        Self { origin: origin.to_owned(), http: surroundings.http.clone(), retry: surroundings.retry }
    }

    /// The client, for what does not go through here.
    pub(crate) const fn client(&self) -> &Client {
        &self.http
    }

    /// How long to wait after so many failures in a row, of which this was the last; `None`: it is over.
    pub(crate) fn wait(&self, failures: u32, error: &SourceError) -> Option<Duration> {
        if error.is_transient() { self.retry.wait(failures, error.retry_after()) } else { None }
    }

    /// Waits before the next try, and says so where that takes a while.
    pub(crate) async fn pause(&self, error: &(dyn std::error::Error + Sync), wait: Duration) {
        self.http.options().waits.note(&self.origin, error, wait);
        tokio::time::sleep(wait).await;
    }

    /// An answer that this kind of source does not give.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Malformed { origin: self.origin.clone(), reason: reason.into() }
    }

    /// A no, in our words, and what to do next.
    pub(crate) fn refused(&self, reason: impl Into<String>, hint: impl Into<String>) -> SourceError {
        SourceError::Refused { origin: self.origin.clone(), reason: reason.into(), hint: hint.into() }
    }

    /// A list that cannot be read, with what is wrong in it.
    pub(crate) fn bad_list(&self, error: &ListingError) -> SourceError {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        self.malformed(format!("{error}{}", cause.unwrap_or_default()))
    }

    pub(crate) fn failed(&self, error: HttpError, explain: Explain<'_>) -> SourceError {
        explain(&error).unwrap_or_else(|| SourceError::Http { origin: self.origin.clone(), source: error })
    }

    /// Asks until there is an answer whose whole body is here; at most `limit` bytes of it.
    pub(crate) async fn ask(
        &self,
        request: Request,
        limit: usize,
        explain: Explain<'_>,
    ) -> Result<Answer, SourceError> {
        self.retrying(request, explain, |request| self.ask_once(request, limit)).await?
    }

    /// Does something with a request until it works, as often as something that may pass is in the way.
    async fn retrying<T, F: Future<Output = Result<T, HttpError>>>(
        &self,
        request: Request,
        explain: Explain<'_>,
        once: impl Fn(Request) -> F,
    ) -> Result<T, SourceError> {
        let mut failures = 0;
        loop {
            let Some(again) = request.try_clone() else {
                return Err(self.malformed("the request can be sent only once"));
            };
            let error = match once(again).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            failures += 1;
            let wait =
                if error.is_transient() { self.retry.wait(failures, error.retry_after()) } else { None };
            let Some(wait) = wait else { return Err(self.failed(error, explain)) };
            self.pause(&error, wait).await;
        }
    }

    async fn ask_once(
        &self,
        request: Request,
        limit: usize,
    ) -> Result<Result<Answer, SourceError>, HttpError> {
        let response = self.http.send(request).await?;
        let link = response.header("link").map(ToOwned::to_owned);
        let mut stream = Box::pin(response.into_stream());
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            if bytes.len() + piece.len() > limit {
                return Ok(Err(self.malformed(format!("the answer has more than {limit} bytes"))));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Ok(Answer { bytes, link }))
    }

    /// [`Self::ask`] for JSON.
    pub(crate) async fn ask_json(
        &self,
        request: Request,
        explain: Explain<'_>,
    ) -> Result<Answer, SourceError> {
        let request = request.header(sovai_http::header::ACCEPT, "application/json");
        let answer = self.ask(request, BOUNDS.bytes, explain).await?;
        match answer.bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{' | b'[') => Ok(answer),
            Some(b'<') => Err(self.malformed(
                "a web page came instead of a file list: is the endpoint right, is a login page in between?",
            )),
            _ => Err(self.malformed("the answer is no file list in JSON")),
        }
    }

    /// The length that a HEAD tells; `None` where the server refuses or does not say.
    pub(crate) async fn length(&self, request: Request) -> Result<Option<u64>, SourceError> {
        let once = |request| async {
            match self.http.send(request).await {
                // What the client calls the length of a HEAD's body is that of the empty body.
                Ok(response) => Ok(response.header("content-length").and_then(|text| text.parse().ok())),
                Err(error) if error.status().is_some() && !error.is_transient() => Ok(None),
                Err(error) => Err(error),
            }
        };
        let length: Option<u64> = self.retrying(request, &|_| None, once).await?;
        Ok(length.filter(|length| i64::try_from(*length).is_ok()))
    }

    /// The length of a file by the answer to its first byte; `None` where it does not say.
    pub(crate) async fn length_by_range(
        &self,
        request: Request,
        explain: Explain<'_>,
    ) -> Result<Option<u64>, SourceError> {
        let once = |request: Request| self.http.send(request);
        let response = self.retrying(request.range(0, 1), explain, once).await?;
        Ok(self.body(response, Some(ByteRange { start: 0, end: 1 }))?.total)
    }

    /// Opens a body, once. Compression would count other bytes than those of the file, so none is asked for.
    pub(crate) async fn open(
        &self,
        request: Request,
        range: Option<ByteRange>,
        explain: Explain<'_>,
    ) -> Result<Body, SourceError> {
        let mut request = request.header(sovai_http::header::ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.range(range.start, range.end);
        }
        let response = self.http.send(request).await.map_err(|error| self.failed(error, explain))?;
        self.body(response, range)
    }

    fn body(&self, response: Response, range: Option<ByteRange>) -> Result<Body, SourceError> {
        if let Some(coding) = response.header("content-encoding").filter(|coding| *coding != "identity") {
            let coding: String = coding.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(
                self.malformed(format!("the file came compressed (`{coding}`), which was not asked for"))
            );
        }
        let length = response.length();
        let (start, length, total) = match (response.status().as_u16(), response.content_range()) {
            (206, Some((start, end, total))) => {
                if length.is_some_and(|length| length != end - start) {
                    return Err(self.malformed("its `Content-Range` and its length say two things"));
                }
                (start, Some(end - start), total)
            }
            (206, None) => return Err(self.malformed("a part of the file came without a `Content-Range`")),
            _ => (0, length, length),
        };
        if start != 0 && range.is_none() {
            return Err(self.malformed("a part of the file came where all of it was asked for"));
        }
        let origin = self.origin.clone();
        let stream = response
            .into_stream()
            .map(move |piece| piece.map_err(|source| SourceError::Http { origin: origin.clone(), source }));
        Ok(Body { start, length, total, stream: Box::pin(stream) })
    }

    /// The entries of a list as a listing has them: sorted, no path twice, none that collides with another.
    pub(crate) fn files(&self, entries: Vec<Entry>) -> Result<Vec<ListedFile>, SourceError> {
        if entries.len() > MAX_FILES {
            return Err(self.malformed(format!("a model has at most {MAX_FILES} files")));
        }
        let mut files: Vec<ListedFile> = entries
            .into_iter()
            .map(|entry| ListedFile {
                path: entry.path,
                size: entry.size,
                sha256: entry.sha256,
                git_blob: entry.git_blob.map(sovai_listing::GitBlob::bytes),
            })
            .collect();
        files.sort_unstable();
        let mut paths = PathSet::default();
        for file in &files {
            if let Err(first) = paths.insert(&file.path) {
                return Err(self.malformed(format!("its files `{first}` and `{}` collide", file.path)));
            }
        }
        Ok(files)
    }
}

/// An address below `base`; every segment is percent-encoded, also a `/` inside of it.
pub(crate) fn below<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // Only addresses without a host have no segments; `endpoint` refuses those.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// An endpoint from a setting: an address with a host, without query.
pub(crate) fn endpoint(origin: &str, name: &str, text: &str) -> Result<Url, SourceError> {
    let invalid = |reason: String| SourceError::Invalid { origin: origin.to_owned(), reason };
    let url = Url::parse(text).map_err(|error| invalid(format!("{name} is no address: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(format!("{name}: expected https://HOST, without a query")));
    }
    Ok(url)
}

/// Whether two addresses are one server: what is secret to one may be told to the other.
pub(crate) fn same_server(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// The target of `rel="next"` in a `Link` header (RFC 8288).
pub(crate) fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, more) = after.split_once(',').unwrap_or((after, ""));
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"') == "next"
        });
        if is_next {
            return Some(target);
        }
        rest = more;
    }
}

/// An owned future as a trait object.
pub(crate) fn boxed<'a, T>(
    future: impl Future<Output = Result<T, SourceError>> + Send + 'a,
) -> BoxFuture<'a, T> {
    Box::pin(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded_and_stay_segments() {
        let base = Url::parse("https://hub.example/prefix/").unwrap();
        let url = below(&base, ["a b", "refs/pr/1", "x%2Fy?#é.json"]);
        assert_eq!(url.as_str(), "https://hub.example/prefix/a%20b/refs%2Fpr%2F1/x%252Fy%3F%23%C3%A9.json");
        let short = Url::parse("https://hub.example").unwrap();
        assert_eq!(below(&short, ["a"]).as_str(), "https://hub.example/a");
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        let header = r#"<https://a/?x=1,2>; rel="prev", <https://a/?cursor=b>; rel="next"; title="x""#;
        assert_eq!(next_link(header), Some("https://a/?cursor=b"));
        assert_eq!(next_link("<https://a>; rel=next"), Some("https://a"));
        for none in ["", "<https://a>; rel=\"last\"", "https://a; rel=next", "<https://a", "<a>,<b>,,"] {
            assert_eq!(next_link(none), None, "{none}");
        }
    }
}
