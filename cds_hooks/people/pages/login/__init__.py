"""The ways into a session: /login by an account or the site's provider, /launch by an EHR, /open by a card's link."""
