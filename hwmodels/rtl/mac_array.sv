// An array in which weights or inputs stay: units.array_step. A sequencer, ROWS rows of COLUMNS elements, and
// the edges of the columns of outputs. Operands enter skewed: row by row and column by column a cycle later.
// Where operands are packed, an element takes DEPTH codes along the reduction and WIDTH along the outputs.
module mac_array #(
    parameter int ROWS            = 16,
    parameter int COLUMNS         = 16,
    parameter bit OVERLAP         = 1'b1,
    parameter int CHAINS          = 1,                    // aligners per column of outputs
    parameter int CODE_BITS       = 8,                    // of a code that moves
    parameter int HELD_BITS       = 8,
    parameter int DEPTH           = 1,
    parameter int WIDTH           = 1,
    parameter int TERMS           = ROWS * DEPTH,         // of a sum, in one fold
    parameter int OUTPUTS         = COLUMNS * WIDTH,
    parameter int MOVING_EXPONENT = 0,                    // of a code's bits, see element_product
    parameter int HELD_EXPONENT   = 0,
    parameter int PRODUCT_BITS    = CODE_BITS + HELD_BITS,
    parameter int DROPPED         = 0,
    parameter int WINDOW_ROUNDING = 0,
    parameter int FRACTION        = 0,                    // bits of a product below its binary point
    parameter int SUM_BITS        = PRODUCT_BITS + $clog2(TERMS),
    parameter int BIAS_BITS       = 8,
    parameter int SLOT_BITS       = $clog2(2 * TERMS),
    parameter int MOVING_BITS     = 8,                    // of a moving row's number
    parameter int FOLD_BITS       = 12,
    parameter int GUARD_BITS      = 8,
    parameter int MAX_SHIFT       = 31,
    parameter int ROUNDING        = 2,
    parameter int BITS            = 32,                   // of the accumulator
    parameter bit SATURATING      = 1'b1,
    parameter int LATENCY         = 1,
    parameter bit RISING          = 1'b0,                 // the bound rises with the terms
    parameter bit BANKED          = 1'b0,                 // a raw bank keeps sums from fold to fold
    parameter int RAW_BITS        = 32,
    parameter int E               = 8,
    parameter int BOUND           = 10,
    parameter int ROW_BITS        = $clog2(ROWS),
    parameter int TAG             = DEPTH * (SLOT_BITS + CHAINS),
    parameter int CODES           = DEPTH * CODE_BITS,    // of one row
    parameter int PASSED          = COLUMNS * WIDTH * DEPTH * HELD_BITS,
    parameter int PLACE           = FOLD_BITS + MOVING_BITS + SLOT_BITS + 2,
    parameter int WORD            = RISING ? BOUND + BITS : BITS,   // {bound, sum}
    parameter int OVERS           = RISING ? CHAINS : 1,
    parameter int LOST            = RISING ? 2 * CHAINS + 1 : CHAINS + 1,
    parameter int EDGE            = CHAINS * E + (RISING ? 0 : E) + BOUND + BIAS_BITS + BOUND + WORD,
    parameter int SAID            = PLACE + 1 + MOVING_BITS + WORD + OVERS + LOST,
    parameter int MARKED          = CHAINS * E + (BANKED ? 1 + CHAINS : 0),  // {open, carried, exponents}
    parameter int READ            = EDGE + (BANKED ? RAW_BITS : 0),          // {raw word, an edge's}
    parameter int WRITTEN         = SAID + (BANKED ? 1 + RAW_BITS : 0)       // {raw word, raw write, an edge's}
) (
    input  logic                       clk,
    input  logic                       rst,
    input  logic                       start,
    input  logic     [MOVING_BITS-1:0] last_row,
    input  logic       [FOLD_BITS-1:0] last_fold,
    input  logic       [SLOT_BITS-1:0] last_slot,
    input  logic             [TAG-1:0] tag,
    input  logic      [ROWS*CODES-1:0] code,
    input  logic          [PASSED-1:0] passed,
    input  logic          [MARKED-1:0] exponent,
    input  logic signed        [E-1:0] top,
    input  logic    [OUTPUTS*READ-1:0] column_in,  // an edge's: {word, bias_exponent, bias, floor, held_top, held}
    output logic                       done,
    output logic       [FOLD_BITS-1:0] ahead,
    output logic                       load_next,
    output logic        [ROW_BITS-1:0] load_row_next,
    output logic       [FOLD_BITS-1:0] fold_next,
    output logic                       stream_next,
    output logic     [MOVING_BITS-1:0] row_next,
    output logic [OUTPUTS*WRITTEN-1:0] column_out  // {flushed, overflow, data, row, write, place}
);
  localparam bit Packs = DEPTH * WIDTH > 1;
  localparam int WAVE = SLOT_BITS + 4;
  localparam int SUMS = OUTPUTS * CHAINS * SUM_BITS;
  localparam int ARRIVING = BANKED ? RAW_BITS : SUM_BITS;

  logic load;
  logic [WAVE-1:0] wave;
  sequencer #(
      .ROWS(ROWS), .COLUMNS(COLUMNS), .OVERLAP(OVERLAP), .LATENCY(LATENCY), .SLOT_BITS(SLOT_BITS),
      .MOVING_BITS(MOVING_BITS), .FOLD_BITS(FOLD_BITS)
  ) control (
      .clk(clk), .rst(rst), .start(start), .last_row(last_row), .last_fold(last_fold), .last_slot(last_slot),
      .load(load), .wave(wave), .done(done), .ahead(ahead), .load_next(load_next),
      .load_row_next(load_row_next), .fold_next(fold_next), .stream_next(stream_next), .row_next(row_next)
  );

  // rows, of elements of one code or of several: what enters each of them is what leaves the one above
  logic [(ROWS+1)*WAVE-1:0] waves;
  logic [ROWS:0] loads;
  logic [(ROWS+1)*TAG-1:0] tags;
  logic [(ROWS+1)*PASSED-1:0] passes;
  logic [(ROWS+1)*SUMS-1:0] sums;
  logic [ROWS*SUMS-1:0] totals;
  assign waves[WAVE-1:0]    = wave;
  assign loads[0]           = load;
  assign tags[TAG-1:0]      = tag;
  assign passes[PASSED-1:0] = passed;
  assign sums[SUMS-1:0]     = '0;
  for (genvar r = 0; r < (Packs ? 0 : ROWS); r++) begin : row
    array_row #(
        .COLUMNS(COLUMNS), .SLOT_BITS(SLOT_BITS), .MOVING_BITS(CODE_BITS), .HELD_BITS(HELD_BITS),
        .MOVING_EXPONENT(MOVING_EXPONENT), .HELD_EXPONENT(HELD_EXPONENT), .PRODUCT_BITS(PRODUCT_BITS),
        .DROPPED(DROPPED), .WINDOW_ROUNDING(WINDOW_ROUNDING), .SUM_BITS(SUM_BITS), .CHAINS(CHAINS),
        .OVERLAP(OVERLAP)
    ) u (
        .clk(clk), .rst(rst), .wave(waves[r*WAVE+:WAVE]), .load(loads[r]), .tag(tags[r*TAG+:TAG]),
        .code(code[r*CODES+:CODES]), .passed(passes[r*PASSED+:PASSED]), .sum(sums[r*SUMS+:SUMS]),
        .wave_out(waves[(r+1)*WAVE+:WAVE]), .load_out(loads[r+1]), .tag_out(tags[(r+1)*TAG+:TAG]),
        .passed_out(passes[(r+1)*PASSED+:PASSED]), .sum_out(sums[(r+1)*SUMS+:SUMS]),
        .total(totals[r*SUMS+:SUMS])
    );
  end
  for (genvar r = 0; r < (Packs ? ROWS : 0); r++) begin : pack
    packed_row #(
        .COLUMNS(COLUMNS), .SLOT_BITS(SLOT_BITS), .MOVING_BITS(CODE_BITS), .HELD_BITS(HELD_BITS),
        .MOVING_EXPONENT(MOVING_EXPONENT), .HELD_EXPONENT(HELD_EXPONENT), .PRODUCT_BITS(PRODUCT_BITS),
        .DROPPED(DROPPED), .WINDOW_ROUNDING(WINDOW_ROUNDING), .SUM_BITS(SUM_BITS), .DEPTH(DEPTH), .WIDTH(WIDTH), .CHAINS(CHAINS), .OVERLAP(OVERLAP)
    ) u (
        .clk(clk), .rst(rst), .wave(waves[r*WAVE+:WAVE]), .load(loads[r]), .tag(tags[r*TAG+:TAG]),
        .code(code[r*CODES+:CODES]), .passed(passes[r*PASSED+:PASSED]), .sum(sums[r*SUMS+:SUMS]),
        .wave_out(waves[(r+1)*WAVE+:WAVE]), .load_out(loads[r+1]), .tag_out(tags[(r+1)*TAG+:TAG]),
        .passed_out(passes[(r+1)*PASSED+:PASSED]), .sum_out(sums[(r+1)*SUMS+:SUMS]),
        .total(totals[r*SUMS+:SUMS])
    );
  end
  (* keep *) logic unused;  // the last row is like the others
  assign unused = ^{
      waves[ROWS*WAVE+:WAVE], loads[ROWS], tags[ROWS*TAG+:TAG], passes[ROWS*PASSED+:PASSED],
      sums[ROWS*SUMS+:SUMS], totals
  };

  // the corner: which row and fold reaches the last row of elements in the next cycle
  logic [WAVE-1:0] turning;
  logic [MOVING_BITS-1:0] corner_row, corner_row_now;
  logic [FOLD_BITS-1:0] corner_fold, corner_fold_now;
  assign turning         = waves[(ROWS-2)*WAVE+:WAVE];
  assign corner_row_now  = turning[1] ? '0 : corner_row;
  assign corner_fold_now = ~turning[1] ? corner_fold : turning[2] ? '0 : corner_fold + 1'b1;
  always_ff @(posedge clk) begin
    corner_row  <= corner_row_now + MOVING_BITS'(turning[0] & turning[3]);
    corner_fold <= corner_fold_now;
  end

  // the columns' edges: those of one element side by side
  logic [(OUTPUTS+WIDTH)*PLACE-1:0] places;
  logic [(OUTPUTS+WIDTH)*CHAINS*E-1:0] exponents;
  logic [(OUTPUTS+WIDTH)*E-1:0] tops;
  logic [SUMS-1:0] bottom;
  assign bottom = totals[(ROWS-1)*SUMS+:SUMS];
  for (genvar w = 0; w < WIDTH; w++) begin : first
    assign places[w*PLACE+:PLACE] = {
        corner_fold_now, corner_row_now, turning[4+:SLOT_BITS], turning[3], turning[0]
    };
    assign exponents[w*CHAINS*E+:CHAINS*E] = exponent[CHAINS*E-1:0];
    assign tops[w*E+:E] = top;
  end

  // the sums for the edges: through the raw bank, if there is one
  logic [OUTPUTS*CHAINS*ARRIVING-1:0] arriving;
  logic [OUTPUTS+WIDTH-1:0] carried;
  logic [(OUTPUTS+WIDTH)*CHAINS-1:0] open;
  if (BANKED) begin : marks
    assign carried[WIDTH-1:0] = {WIDTH{exponent[CHAINS*E]}};
    assign open[WIDTH*CHAINS-1:0] = {WIDTH{exponent[CHAINS*E+1+:CHAINS]}};
  end else begin : unmarked
    assign carried  = '0;
    assign open     = '0;
    assign arriving = bottom;
  end
  for (genvar j = 0; j < (BANKED ? OUTPUTS : 0); j++) begin : bank
    logic write;
    logic [RAW_BITS-1:0] data;
    assign column_out[j*WRITTEN+SAID+:1+RAW_BITS] = {data, write};
    raw_bank #(.SUM_BITS(SUM_BITS), .CHAINS(CHAINS), .RAW_BITS(RAW_BITS)) u (
        .clk(clk), .rst(rst), .coming(places[j*PLACE]), .carried(carried[j]),
        .open(open[j*CHAINS+:CHAINS]), .sum(bottom[j*CHAINS*SUM_BITS+:CHAINS*SUM_BITS]),
        .word(column_in[j*READ+EDGE+:RAW_BITS]), .carried_out(carried[j+WIDTH]),
        .open_out(open[(j+WIDTH)*CHAINS+:CHAINS]),
        .sum_out(arriving[j*CHAINS*ARRIVING+:CHAINS*ARRIVING]), .write(write), .data(data)
    );
  end
  for (genvar j = 0; j < (RISING ? 0 : OUTPUTS); j++) begin : column
    localparam int Next = j + WIDTH;
    logic [PLACE-1:0] place_out;
    logic [CHAINS*E-1:0] held;
    logic [E-1:0] held_top;
    logic [BOUND-1:0] floor, bias_exponent;
    logic [BIAS_BITS-1:0] bias;
    logic [BITS-1:0] word, data;
    logic [CHAINS:0] flushed;
    logic write, overflow;
    assign {word, bias_exponent, bias, floor, held_top, held} = column_in[j*READ+:EDGE];
    assign places[Next*PLACE+:PLACE] = place_out;
    assign column_out[j*WRITTEN+:SAID] = {
        flushed, overflow, data, place_out[2+SLOT_BITS+:MOVING_BITS], write, places[j*PLACE+:PLACE]
    };
    column #(
        .SUM_BITS(ARRIVING), .CHAINS(CHAINS), .ROWS(TERMS), .BIAS_BITS(BIAS_BITS), .SLOT_BITS(SLOT_BITS),
        .MOVING_BITS(MOVING_BITS), .FOLD_BITS(FOLD_BITS), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT),
        .ROUNDING(ROUNDING), .BITS(BITS), .SATURATING(SATURATING), .E(E), .BOUND(BOUND), .FRACTION(FRACTION)
    ) u (
        .clk(clk), .rst(rst), .place(places[j*PLACE+:PLACE]), .exponent(exponents[j*CHAINS*E+:CHAINS*E]),
        .top(tops[j*E+:E]), .sum(arriving[j*CHAINS*ARRIVING+:CHAINS*ARRIVING]), .held(held),
        .held_top(held_top), .floor(floor), .bias(bias), .bias_exponent(bias_exponent), .word(word),
        .place_out(place_out), .exponent_out(exponents[Next*CHAINS*E+:CHAINS*E]), .top_out(tops[Next*E+:E]),
        .write(write), .data(data), .overflow(overflow), .flushed(flushed)
    );
  end
  for (genvar j = 0; j < (RISING ? OUTPUTS : 0); j++) begin : rising
    localparam int Next = j + WIDTH;
    logic [PLACE-1:0] place_out;
    logic [CHAINS*E-1:0] held;
    logic [BOUND-1:0] floor, bias_exponent;
    logic [BIAS_BITS-1:0] bias;
    logic [WORD-1:0] word, data;
    logic [OVERS-1:0] overflow;
    logic [LOST-1:0] flushed;
    logic write;
    assign {word, bias_exponent, bias, floor, held} = column_in[j*READ+:EDGE];
    assign places[Next*PLACE+:PLACE] = place_out;
    assign tops[Next*E+:E] = tops[j*E+:E];
    assign column_out[j*WRITTEN+:SAID] = {
        flushed, overflow, data, place_out[2+SLOT_BITS+:MOVING_BITS], write, places[j*PLACE+:PLACE]
    };
    rising_column #(
        .SUM_BITS(ARRIVING), .CHAINS(CHAINS), .BIAS_BITS(BIAS_BITS), .SLOT_BITS(SLOT_BITS),
        .MOVING_BITS(MOVING_BITS), .FOLD_BITS(FOLD_BITS), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT),
        .ROUNDING(ROUNDING), .BITS(BITS), .SATURATING(SATURATING), .E(E), .BOUND(BOUND), .FRACTION(FRACTION)
    ) u (
        .clk(clk), .rst(rst), .place(places[j*PLACE+:PLACE]), .exponent(exponents[j*CHAINS*E+:CHAINS*E]),
        .sum(arriving[j*CHAINS*ARRIVING+:CHAINS*ARRIVING]), .held(held), .floor(floor), .bias(bias),
        .bias_exponent(bias_exponent), .word(word), .place_out(place_out),
        .exponent_out(exponents[Next*CHAINS*E+:CHAINS*E]), .write(write), .data(data), .overflow(overflow),
        .flushed(flushed)
    );
  end
  (* keep *) logic unused_edge;  // and the last columns
  assign unused_edge = ^{
      carried, open, places[OUTPUTS*PLACE+:WIDTH*PLACE], exponents[OUTPUTS*CHAINS*E+:WIDTH*CHAINS*E], tops[OUTPUTS*E+:WIDTH*E]
  };
endmodule
