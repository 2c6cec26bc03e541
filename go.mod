module github.com/neohook/neohook

go 1.26
