"""The documentation site: reads docs/, checks every link, and writes the pages that the server shows at /docs/."""
