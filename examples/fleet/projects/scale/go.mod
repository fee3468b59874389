module example.org/scale

go 1.22
