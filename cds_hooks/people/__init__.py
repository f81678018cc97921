"""What people see and sign: pages, who may log in, approvals and releases, the worklist."""
