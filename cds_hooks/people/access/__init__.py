"""Who may open which page: roles, accounts, sessions, login by the site's OpenID provider or by the EHR."""
