//! The auditor's page as others see it: a parser of HTML, and a browser that prints it.

mod page;
