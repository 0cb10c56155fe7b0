//! The routes: from requests to `domain` and `store`, and back.
