//! The auditor's page as others see it: a parser of HTML, and a browser that prints it.

#![expect(clippy::unwrap_used, reason = "what a test cannot do is a failed test")]

mod page;
