package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/fleetinglambda/flame"
)

// checksum is what is known of something that was hashed.
type checksum struct {
	Name   string    `json:"name"`
	Size   int64     `json:"size"`
	SHA256 string    `json:"sha256"`
	PID    int       `json:"pid"` // of the runner
	At     time.Time `json:"at"`
}

// openRecords makes this process's handle of the database of checksums. It opens no file before it is used, so that
// whoever only hashes files has none. Processes that write at the same time wait for each other.
func openRecords(path string) (*sql.DB, error) {
	escaped := url.URL{Path: path}
	return sql.Open("sqlite", "file:"+escaped.EscapedPath()+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
}

// createRecords makes the table, if there is none.
func createRecords(ctx context.Context, records *sql.DB) error {
	_, err := records.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS checksums "+
		"(name TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, pid INTEGER NOT NULL, at TIMESTAMP NOT NULL)")
	if err != nil {
		return fmt.Errorf("the database of checksums: %w: choose another with -db", err)
	}
	return nil
}

// record has a runner write a checksum into the database, and does not wait for it.
func record(ctx context.Context, pool *flame.Pool, records *sql.DB, c checksum) error {
	return flame.Cast(ctx, pool, func(ctx context.Context) error {
		// This runs on a runner, and records is the runner's own, as main says with PerProcess.
		_, err := records.ExecContext(ctx, "INSERT INTO checksums VALUES (?, ?, ?, ?, ?)", c.Name, c.Size, c.SHA256, c.PID, c.At)
		return err
	}, flame.Priority(1)) // before files that wait for a slot
}

// recorded returns the latest checksums of the database.
func recorded(ctx context.Context, records *sql.DB) ([]checksum, error) {
	rows, err := records.QueryContext(ctx, "SELECT name, size, sha256, pid, at FROM checksums ORDER BY rowid DESC LIMIT 100")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []checksum{}
	for rows.Next() {
		var c checksum
		if err := rows.Scan(&c.Name, &c.Size, &c.SHA256, &c.PID, &c.At); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}
