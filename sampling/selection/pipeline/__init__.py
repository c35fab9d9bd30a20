"""Plans: selectors one after another over a table on disk, with a manifest and resumption."""
