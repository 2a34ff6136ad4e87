"""The browser's side: its connections, the requests on them, and what the browser does not take."""
