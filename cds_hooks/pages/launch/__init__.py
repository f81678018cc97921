"""The addresses /launch: an EHR opens the server as a SMART app."""
