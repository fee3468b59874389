module example.org/tongs

go 1.22
