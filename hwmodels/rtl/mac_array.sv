// An array in which weights or inputs stay: units.mac_array. A sequencer, ROWS rows of elements, and the
// edges of COLUMNS columns. Operands enter skewed: row by row and column by column a cycle later.
module mac_array #(
    parameter int ROWS        = 16,
    parameter int COLUMNS     = 16,
    parameter bit OVERLAP     = 1'b1,
    parameter int CHAINS      = 1,                    // aligners per column
    parameter int CODE_BITS   = 8,                    // of a code that moves
    parameter int HELD_BITS   = 8,
    parameter int SUM_BITS    = CODE_BITS + HELD_BITS + $clog2(ROWS),
    parameter int BIAS_BITS   = 8,
    parameter int SLOT_BITS   = $clog2(2 * ROWS),
    parameter int MOVING_BITS = 8,                    // of a moving row's number
    parameter int FOLD_BITS   = 12,
    parameter int GUARD_BITS  = 8,
    parameter int MAX_SHIFT   = 31,
    parameter int ROUNDING    = 2,
    parameter int BITS        = 32,                   // of the accumulator
    parameter bit SATURATING  = 1'b1,
    parameter int LATENCY     = 1,
    parameter int E           = 8,
    parameter int BOUND       = 10,
    parameter int ROW_BITS    = $clog2(ROWS),
    parameter int TAG         = SLOT_BITS + CHAINS,
    parameter int PLACE       = FOLD_BITS + MOVING_BITS + SLOT_BITS + 2,
    parameter int READ        = CHAINS * E + E + BOUND + BIAS_BITS + BOUND + BITS,
    parameter int WRITTEN     = PLACE + 1 + MOVING_BITS + BITS + 1 + CHAINS + 1
) (
    input  logic                         clk,
    input  logic                         rst,
    input  logic                         start,
    input  logic       [MOVING_BITS-1:0] last_row,
    input  logic         [FOLD_BITS-1:0] last_fold,
    input  logic         [SLOT_BITS-1:0] last_slot,
    input  logic               [TAG-1:0] tag,
    input  logic    [ROWS*CODE_BITS-1:0] code,
    input  logic [COLUMNS*HELD_BITS-1:0] passed,
    input  logic          [CHAINS*E-1:0] exponent,
    input  logic signed          [E-1:0] top,
    input  logic      [COLUMNS*READ-1:0] column_in,   // {word, bias_exponent, bias, floor, held_top, held}
    output logic                         done,
    output logic         [FOLD_BITS-1:0] ahead,
    output logic                         load_next,
    output logic          [ROW_BITS-1:0] load_row_next,
    output logic         [FOLD_BITS-1:0] fold_next,
    output logic                         stream_next,
    output logic       [MOVING_BITS-1:0] row_next,
    output logic   [COLUMNS*WRITTEN-1:0] column_out   // {flushed, overflow, data, row, write, place}
);
  localparam int WAVE = SLOT_BITS + 4;
  localparam int PASSED = COLUMNS * HELD_BITS;
  localparam int SUMS = COLUMNS * CHAINS * SUM_BITS;

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

  // rows: what enters each of them is what leaves the one above
  logic [WAVE-1:0] waves[ROWS+1];
  logic loads[ROWS+1];
  logic [TAG-1:0] tags[ROWS+1];
  logic [PASSED-1:0] passes[ROWS+1];
  logic [SUMS-1:0] sums[ROWS+1], totals[ROWS];
  assign waves[0]  = wave;
  assign loads[0]  = load;
  assign tags[0]   = tag;
  assign passes[0] = passed;
  assign sums[0]   = '0;
  for (genvar r = 0; r < ROWS; r++) begin : row
    logic [WAVE-1:0] wave_in, wave_out;
    logic load_in, load_out;
    logic [TAG-1:0] tag_in, tag_out;
    logic [PASSED-1:0] passed_in, passed_out;
    logic [SUMS-1:0] sum_in, sum_out, total;
    assign wave_in     = waves[r];
    assign load_in     = loads[r];
    assign tag_in      = tags[r];
    assign passed_in   = passes[r];
    assign sum_in      = sums[r];
    assign waves[r+1]  = wave_out;
    assign loads[r+1]  = load_out;
    assign tags[r+1]   = tag_out;
    assign passes[r+1] = passed_out;
    assign sums[r+1]   = sum_out;
    assign totals[r]   = total;
    array_row #(
        .COLUMNS(COLUMNS), .SLOT_BITS(SLOT_BITS), .MOVING_BITS(CODE_BITS), .HELD_BITS(HELD_BITS),
        .SUM_BITS(SUM_BITS), .CHAINS(CHAINS), .OVERLAP(OVERLAP)
    ) u (
        .clk(clk), .rst(rst), .wave(wave_in), .load(load_in), .tag(tag_in),
        .code(code[r*CODE_BITS+:CODE_BITS]), .passed(passed_in), .sum(sum_in),
        .wave_out(wave_out), .load_out(load_out), .tag_out(tag_out), .passed_out(passed_out),
        .sum_out(sum_out), .total(total)
    );
    if (r < ROWS - 1) begin : inner
      logic unused;
      assign unused = ^total;
    end
  end
  (* keep *) logic unused;  // the last row is like the others
  assign unused = ^{waves[ROWS], loads[ROWS], tags[ROWS], passes[ROWS], sums[ROWS]};

  // the corner: which row and fold reaches the last row of elements in the next cycle
  logic [WAVE-1:0] turning;
  logic [MOVING_BITS-1:0] corner_row, corner_row_now;
  logic [FOLD_BITS-1:0] corner_fold, corner_fold_now;
  assign turning         = waves[ROWS-2];
  assign corner_row_now  = turning[1] ? '0 : corner_row;
  assign corner_fold_now = ~turning[1] ? corner_fold : turning[2] ? '0 : corner_fold + 1'b1;
  always_ff @(posedge clk) begin
    corner_row  <= corner_row_now + MOVING_BITS'(turning[0] & turning[3]);
    corner_fold <= corner_fold_now;
  end

  // the columns' edges
  logic [PLACE-1:0] places[COLUMNS+1];
  logic [CHAINS*E-1:0] exponents[COLUMNS+1];
  logic [E-1:0] tops[COLUMNS+1];
  logic [SUMS-1:0] bottom;
  assign bottom       = totals[ROWS-1];
  assign places[0]    = {corner_fold_now, corner_row_now, turning[4+:SLOT_BITS], turning[3], turning[0]};
  assign exponents[0] = exponent;
  assign tops[0]      = top;
  for (genvar j = 0; j < COLUMNS; j++) begin : column
    logic [PLACE-1:0] place_in, place_out;
    logic [CHAINS*E-1:0] exponent_in, exponent_out, held;
    logic [E-1:0] top_in, top_out, held_top;
    logic [BOUND-1:0] floor, bias_exponent;
    logic [BIAS_BITS-1:0] bias;
    logic [BITS-1:0] word, data;
    logic [CHAINS:0] flushed;
    logic write, overflow;
    assign place_in       = places[j];
    assign exponent_in    = exponents[j];
    assign top_in         = tops[j];
    assign places[j+1]    = place_out;
    assign exponents[j+1] = exponent_out;
    assign tops[j+1]      = top_out;
    assign {word, bias_exponent, bias, floor, held_top, held} = column_in[j*READ+:READ];
    assign column_out[j*WRITTEN+:WRITTEN] = {
        flushed, overflow, data, place_out[2+SLOT_BITS+:MOVING_BITS], write, place_in
    };
    column #(
        .SUM_BITS(SUM_BITS), .CHAINS(CHAINS), .ROWS(ROWS), .BIAS_BITS(BIAS_BITS), .SLOT_BITS(SLOT_BITS),
        .MOVING_BITS(MOVING_BITS), .FOLD_BITS(FOLD_BITS), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT),
        .ROUNDING(ROUNDING), .BITS(BITS), .SATURATING(SATURATING), .E(E), .BOUND(BOUND)
    ) u (
        .clk(clk), .rst(rst), .place(place_in), .exponent(exponent_in), .top(top_in),
        .sum(bottom[j*CHAINS*SUM_BITS+:CHAINS*SUM_BITS]), .held(held), .held_top(held_top), .floor(floor),
        .bias(bias), .bias_exponent(bias_exponent), .word(word), .place_out(place_out),
        .exponent_out(exponent_out), .top_out(top_out), .write(write), .data(data), .overflow(overflow),
        .flushed(flushed)
    );
  end
  (* keep *) logic unused_edge;  // and the last column
  assign unused_edge = ^{places[COLUMNS], exponents[COLUMNS], tops[COLUMNS]};
endmodule
