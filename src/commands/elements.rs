//! How handlers answer an element of a collection. Main thread.

#![forbid(unsafe_code)]

use crate::encoding::listpack::Element;
use crate::resp::reply::Reply;

/// A bulk with the element's text.
#[inline]
pub(crate) fn reply_element(reply: &mut Reply, element: Element<'_>) {
    match element {
        Element::Int(number) => reply.bulk_integer(number),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}
