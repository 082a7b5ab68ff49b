package lend

// shaped has for every shape what makes a thing of these methods and no others, so that asking it for more gets the same
// answer as asking the variable's type.
var shaped = [allShapes]func(s *borrowedStream) any{
	reads:  func(s *borrowedStream) any { return lentRead{s} },
	writes: func(s *borrowedStream) any { return lentWrite{s} },
	reads | writes: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
		}{lentRead{s}, lentWrite{s}}
	},
	seeks: func(s *borrowedStream) any { return lentSeek{s} },
	reads | seeks: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentSeek
		}{lentRead{s}, lentSeek{s}}
	},
	writes | seeks: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentSeek
		}{lentWrite{s}, lentSeek{s}}
	},
	reads | writes | seeks: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentSeek
		}{lentRead{s}, lentWrite{s}, lentSeek{s}}
	},
	closes: func(s *borrowedStream) any { return lentClose{s} },
	reads | closes: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentClose
		}{lentRead{s}, lentClose{s}}
	},
	writes | closes: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentClose
		}{lentWrite{s}, lentClose{s}}
	},
	reads | writes | closes: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentClose
		}{lentRead{s}, lentWrite{s}, lentClose{s}}
	},
	seeks | closes: func(s *borrowedStream) any {
		return struct {
			lentSeek
			lentClose
		}{lentSeek{s}, lentClose{s}}
	},
	reads | seeks | closes: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentSeek
			lentClose
		}{lentRead{s}, lentSeek{s}, lentClose{s}}
	},
	writes | seeks | closes: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentSeek
			lentClose
		}{lentWrite{s}, lentSeek{s}, lentClose{s}}
	},
	reads | writes | seeks | closes: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentSeek
			lentClose
		}{lentRead{s}, lentWrite{s}, lentSeek{s}, lentClose{s}}
	},
	readsAt: func(s *borrowedStream) any { return lentReadAt{s} },
	reads | readsAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentReadAt
		}{lentRead{s}, lentReadAt{s}}
	},
	writes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentReadAt
		}{lentWrite{s}, lentReadAt{s}}
	},
	reads | writes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentReadAt
		}{lentRead{s}, lentWrite{s}, lentReadAt{s}}
	},
	seeks | readsAt: func(s *borrowedStream) any {
		return struct {
			lentSeek
			lentReadAt
		}{lentSeek{s}, lentReadAt{s}}
	},
	reads | seeks | readsAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentSeek
			lentReadAt
		}{lentRead{s}, lentSeek{s}, lentReadAt{s}}
	},
	writes | seeks | readsAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentSeek
			lentReadAt
		}{lentWrite{s}, lentSeek{s}, lentReadAt{s}}
	},
	reads | writes | seeks | readsAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentSeek
			lentReadAt
		}{lentRead{s}, lentWrite{s}, lentSeek{s}, lentReadAt{s}}
	},
	closes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentClose
			lentReadAt
		}{lentClose{s}, lentReadAt{s}}
	},
	reads | closes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentClose
			lentReadAt
		}{lentRead{s}, lentClose{s}, lentReadAt{s}}
	},
	writes | closes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentClose
			lentReadAt
		}{lentWrite{s}, lentClose{s}, lentReadAt{s}}
	},
	reads | writes | closes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentClose
			lentReadAt
		}{lentRead{s}, lentWrite{s}, lentClose{s}, lentReadAt{s}}
	},
	seeks | closes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentSeek
			lentClose
			lentReadAt
		}{lentSeek{s}, lentClose{s}, lentReadAt{s}}
	},
	reads | seeks | closes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentSeek
			lentClose
			lentReadAt
		}{lentRead{s}, lentSeek{s}, lentClose{s}, lentReadAt{s}}
	},
	writes | seeks | closes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentSeek
			lentClose
			lentReadAt
		}{lentWrite{s}, lentSeek{s}, lentClose{s}, lentReadAt{s}}
	},
	reads | writes | seeks | closes | readsAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentSeek
			lentClose
			lentReadAt
		}{lentRead{s}, lentWrite{s}, lentSeek{s}, lentClose{s}, lentReadAt{s}}
	},
	writesAt: func(s *borrowedStream) any { return lentWriteAt{s} },
	reads | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWriteAt
		}{lentRead{s}, lentWriteAt{s}}
	},
	writes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentWriteAt
		}{lentWrite{s}, lentWriteAt{s}}
	},
	reads | writes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentWriteAt
		}{lentRead{s}, lentWrite{s}, lentWriteAt{s}}
	},
	seeks | writesAt: func(s *borrowedStream) any {
		return struct {
			lentSeek
			lentWriteAt
		}{lentSeek{s}, lentWriteAt{s}}
	},
	reads | seeks | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentSeek
			lentWriteAt
		}{lentRead{s}, lentSeek{s}, lentWriteAt{s}}
	},
	writes | seeks | writesAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentSeek
			lentWriteAt
		}{lentWrite{s}, lentSeek{s}, lentWriteAt{s}}
	},
	reads | writes | seeks | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentSeek
			lentWriteAt
		}{lentRead{s}, lentWrite{s}, lentSeek{s}, lentWriteAt{s}}
	},
	closes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentClose
			lentWriteAt
		}{lentClose{s}, lentWriteAt{s}}
	},
	reads | closes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentClose
			lentWriteAt
		}{lentRead{s}, lentClose{s}, lentWriteAt{s}}
	},
	writes | closes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentClose
			lentWriteAt
		}{lentWrite{s}, lentClose{s}, lentWriteAt{s}}
	},
	reads | writes | closes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentClose
			lentWriteAt
		}{lentRead{s}, lentWrite{s}, lentClose{s}, lentWriteAt{s}}
	},
	seeks | closes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentSeek
			lentClose
			lentWriteAt
		}{lentSeek{s}, lentClose{s}, lentWriteAt{s}}
	},
	reads | seeks | closes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentSeek
			lentClose
			lentWriteAt
		}{lentRead{s}, lentSeek{s}, lentClose{s}, lentWriteAt{s}}
	},
	writes | seeks | closes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentSeek
			lentClose
			lentWriteAt
		}{lentWrite{s}, lentSeek{s}, lentClose{s}, lentWriteAt{s}}
	},
	reads | writes | seeks | closes | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentSeek
			lentClose
			lentWriteAt
		}{lentRead{s}, lentWrite{s}, lentSeek{s}, lentClose{s}, lentWriteAt{s}}
	},
	readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentReadAt
			lentWriteAt
		}{lentReadAt{s}, lentWriteAt{s}}
	},
	reads | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentReadAt
			lentWriteAt
		}{lentRead{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	writes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentReadAt
			lentWriteAt
		}{lentWrite{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	reads | writes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentReadAt
			lentWriteAt
		}{lentRead{s}, lentWrite{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	seeks | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentSeek
			lentReadAt
			lentWriteAt
		}{lentSeek{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	reads | seeks | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentSeek
			lentReadAt
			lentWriteAt
		}{lentRead{s}, lentSeek{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	writes | seeks | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentSeek
			lentReadAt
			lentWriteAt
		}{lentWrite{s}, lentSeek{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	reads | writes | seeks | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentSeek
			lentReadAt
			lentWriteAt
		}{lentRead{s}, lentWrite{s}, lentSeek{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	closes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentClose
			lentReadAt
			lentWriteAt
		}{lentClose{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	reads | closes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentClose
			lentReadAt
			lentWriteAt
		}{lentRead{s}, lentClose{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	writes | closes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentClose
			lentReadAt
			lentWriteAt
		}{lentWrite{s}, lentClose{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	reads | writes | closes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentClose
			lentReadAt
			lentWriteAt
		}{lentRead{s}, lentWrite{s}, lentClose{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	seeks | closes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentSeek
			lentClose
			lentReadAt
			lentWriteAt
		}{lentSeek{s}, lentClose{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	reads | seeks | closes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentSeek
			lentClose
			lentReadAt
			lentWriteAt
		}{lentRead{s}, lentSeek{s}, lentClose{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	writes | seeks | closes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentWrite
			lentSeek
			lentClose
			lentReadAt
			lentWriteAt
		}{lentWrite{s}, lentSeek{s}, lentClose{s}, lentReadAt{s}, lentWriteAt{s}}
	},
	reads | writes | seeks | closes | readsAt | writesAt: func(s *borrowedStream) any {
		return struct {
			lentRead
			lentWrite
			lentSeek
			lentClose
			lentReadAt
			lentWriteAt
		}{lentRead{s}, lentWrite{s}, lentSeek{s}, lentClose{s}, lentReadAt{s}, lentWriteAt{s}}
	},
}
