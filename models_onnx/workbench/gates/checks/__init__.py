"""One module for each gate or small group of gates; a module is found because it declares `GATES`."""
