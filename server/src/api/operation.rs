//! One request that the API takes: how it is handled and how it is described, in one value, so that the two can't differ.

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Api;

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One method on one path.
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path as the router takes it.
    pub path: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What the query may hold: an object's schema.
    pub query: Option<SchemaOf>,
    /// What the body is.
    pub body: RequestBody,
    /// What a 200 answers.
    pub answer: Answer,
    /// What kind of request it is: decides what else it can answer and which headers it takes.
    pub kind: Kind,
    /// Whether a change takes `If-Match`.
    pub if_match: bool,
    /// Whether it refuses what is older than all that is kept.
    pub forgets: bool,
    pub(super) handler: MethodRouter<Api>,
}

/// A request's body.
#[derive(Clone, Copy)]
pub enum RequestBody {
    /// It takes none.
    None,
    /// JSON that may be left out.
    Optional(SchemaOf),
    /// JSON.
    Json(SchemaOf),
    /// A cluster file in TOML, or JSON of this shape.
    File(SchemaOf),
    /// The text itself, or JSON of this shape.
    Text(SchemaOf),
}

/// The body of a 200.
#[derive(Clone, Copy)]
pub enum Answer {
    /// JSON.
    Json(SchemaOf),
    /// Any JSON: a document described elsewhere.
    Document,
    /// A line of text.
    Text,
    /// Figures for Prometheus.
    OpenMetrics,
    /// Server-sent events, most of which carry this.
    Stream(SchemaOf),
}

/// What kind of request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It changes nothing.
    Read,
    /// It changes the cluster by a command: takes `Idempotency-Key` and `wait`.
    Change,
    /// It changes the Raft group itself.
    Members,
    /// It changes nothing and asks nobody.
    Local,
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Query parameters are described one by one, so their type is no component.
fn inline<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

impl Operation {
    fn new<H, T>(filter: MethodFilter, method: Method, path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        Self {
            kind: if method == Method::GET {
                Kind::Read
            } else {
                Kind::Change
            },
            method,
            path,
            summary,
            query: None,
            body: RequestBody::None,
            answer: Answer::Document,
            if_match: false,
            forgets: false,
            handler: on(filter, handler),
        }
    }

    /// A GET.
    pub(super) fn get<H: Handler<T, Api>, T: 'static>(path: &'static str, summary: &'static str, handler: H) -> Self {
        Self::new(MethodFilter::GET, Method::GET, path, summary, handler)
    }

    /// A POST.
    pub(super) fn post<H: Handler<T, Api>, T: 'static>(path: &'static str, summary: &'static str, handler: H) -> Self {
        Self::new(MethodFilter::POST, Method::POST, path, summary, handler)
    }

    /// A PUT.
    pub(super) fn put<H: Handler<T, Api>, T: 'static>(path: &'static str, summary: &'static str, handler: H) -> Self {
        Self::new(MethodFilter::PUT, Method::PUT, path, summary, handler)
    }

    /// A DELETE.
    pub(super) fn delete<H: Handler<T, Api>, T: 'static>(
        path: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self::new(MethodFilter::DELETE, Method::DELETE, path, summary, handler)
    }

    /// A 200 carries this.
    pub(super) fn answers<T: JsonSchema>(mut self) -> Self {
        self.answer = Answer::Json(schema::<T>);
        self
    }

    /// A 200 carries a line of text.
    pub(super) fn answers_text(mut self) -> Self {
        self.answer = Answer::Text;
        self
    }

    /// A 200 carries figures for Prometheus.
    pub(super) fn answers_open_metrics(mut self) -> Self {
        self.answer = Answer::OpenMetrics;
        self
    }

    /// A 200 is a stream of server-sent events, most of which carry this.
    pub(super) fn streams<T: JsonSchema>(mut self) -> Self {
        self.answer = Answer::Stream(schema::<T>);
        self
    }

    /// It takes this query.
    pub(super) fn asks<T: JsonSchema>(mut self) -> Self {
        self.query = Some(inline::<T>);
        self
    }

    /// It takes this body.
    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = RequestBody::Json(schema::<T>);
        self
    }

    /// It takes this body or none.
    pub(super) fn may_take<T: JsonSchema>(mut self) -> Self {
        self.body = RequestBody::Optional(schema::<T>);
        self
    }

    /// It takes a cluster file, or JSON of this shape.
    pub(super) fn takes_file<T: JsonSchema>(mut self) -> Self {
        self.body = RequestBody::File(schema::<T>);
        self
    }

    /// It takes the text itself, or JSON of this shape.
    pub(super) fn takes_text<T: JsonSchema>(mut self) -> Self {
        self.body = RequestBody::Text(schema::<T>);
        self
    }

    /// It takes `If-Match`.
    pub(super) fn matching(mut self) -> Self {
        self.if_match = true;
        self
    }

    /// It refuses what is older than all that is kept.
    pub(super) fn forgets(mut self) -> Self {
        self.forgets = true;
        self
    }

    /// It is of this kind.
    pub(super) fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Whether `?index=I&wait=30s` holds its answer. What reads the log has ways of its own to wait for more.
    #[must_use]
    pub fn can_be_held(&self) -> bool {
        self.kind == Kind::Read && self.method == Method::GET && matches!(self.answer, Answer::Json(_)) && !self.forgets
    }

    /// Every status that it can answer.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        let mut all = vec![200, 400, 405, 431];
        // A body, too, may name what there is not.
        if self.path.contains('{') || !matches!(self.body, RequestBody::None) {
            all.push(404);
        }
        if !matches!(self.body, RequestBody::None) {
            all.extend([408, 413, 422]);
        }
        if self.forgets {
            all.push(410);
        }
        if matches!(self.answer, Answer::Stream(_)) || self.can_be_held() {
            all.push(429);
        }
        match self.kind {
            Kind::Local => {}
            Kind::Read => all.extend([409, 422, 500, 503]),
            Kind::Change => all.extend([202, 409, 412, 413, 422, 429, 500, 503, 504]),
            Kind::Members => all.extend([404, 409, 500, 503, 504]),
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}
