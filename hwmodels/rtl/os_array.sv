// The MAC array in which outputs stay: os_array.step. ROWS x COLUMNS elements, and in each column an aligner for
// every GROUP rows. Codes and commands move to the right, codes and a column's exponents and bias move down.
module os_array #(
    parameter int ROWS       = 32,
    parameter int COLUMNS    = 32,
    parameter int GROUP      = 32,  // rows that share an aligner
    parameter int BITS       = 32,
    parameter bit SATURATING = 1'b1,
    parameter int GUARD_BITS = 8,
    parameter int MAX_SHIFT  = 31,
    parameter int ROUNDING   = 2,
    parameter int NORMALISE  = 0,
    parameter int WORD       = 10,
    parameter int GROUPS     = (ROWS + GROUP - 1) / GROUP,
    parameter int TURN       = GROUP > 1 ? $clog2(GROUP) : 1
) (
    input  logic                           clk,
    input  logic                           rst,
    input  logic                [ROWS-1:0] first,
    input  logic              [ROWS*8-1:0] a,
    input  logic           [COLUMNS*8-1:0] w,
    input  logic              [GROUPS-1:0] serve,
    input  logic              [GROUPS-1:0] opening,
    input  logic              [GROUPS-1:0] closing,
    input  logic         [GROUPS*TURN-1:0] turn,
    input  logic            [GROUPS*8-1:0] row,
    input  logic           [COLUMNS*8-1:0] column,
    input  logic        [COLUMNS*WORD-1:0] floor,
    input  logic          [COLUMNS*32-1:0] bias,
    input  logic           [COLUMNS*8-1:0] bias_exponent,
    input  logic [GROUPS*COLUMNS*WORD-1:0] exact,
    output logic             [COLUMNS-1:0] done,
    output logic        [COLUMNS*BITS-1:0] sum,
    output logic    [COLUMNS*(WORD+1)-1:0] exponent,
    output logic      [GROUPS*COLUMNS-1:0] flushed,
    output logic      [GROUPS*COLUMNS-1:0] dropped,
    output logic      [GROUPS*COLUMNS-1:0] overflow
);
  localparam int RawBits = 32;
  localparam int Left = 3 + TURN + 8;           // serve, opening, closing, turn, row
  localparam int Above = 8 + WORD + 32 + 8;     // column, floor, bias, bias_exponent
  localparam int Held = RawBits + BITS + WORD;  // raw, aligned, bound
  localparam int Whole = GROUPS * GROUP;        // rows, had the last group as many as the others
  localparam logic signed [WORD:0] Guard = (WORD + 1)'(GUARD_BITS);

  // what an element hands on: to the right its first and a, down its w; and what its aligner reads
  logic [ROWS*(COLUMNS+1)-1:0][8:0] to_right;
  logic [(ROWS+1)*COLUMNS-1:0][7:0] to_below;
  logic [Whole*COLUMNS-1:0][Held-1:0] held;
  // what an aligner hands on, and what it has for the rows of its group
  logic [GROUPS*(COLUMNS+1)-1:0][Left-1:0] commands;
  logic [(GROUPS+1)*COLUMNS-1:0][Above-1:0] settings;
  logic [GROUPS*COLUMNS-1:0][GROUP-1:0] served;
  logic [GROUPS*COLUMNS-1:0][BITS-1:0] word;
  logic [GROUPS*COLUMNS-1:0][WORD-1:0] top;
  // the sum that leaves a column, gathered from its first group to its last
  logic [(GROUPS+1)*COLUMNS-1:0] leaves;
  logic [(GROUPS+1)*COLUMNS-1:0][BITS-1:0] result;
  logic [(GROUPS+1)*COLUMNS-1:0][WORD:0] power;

  for (genvar g = 0; g < GROUPS; g++) begin : edge_left
    assign commands[g*(COLUMNS+1)] = {serve[g], opening[g], closing[g], turn[g*TURN+:TURN], row[g*8+:8]};
  end
  for (genvar i = 0; i < ROWS; i++) begin : edge_row
    assign to_right[i*(COLUMNS+1)] = {first[i], a[i*8+:8]};
  end
  for (genvar j = 0; j < COLUMNS; j++) begin : edge_above
    assign to_below[j] = w[j*8+:8];
    assign settings[j] = {column[j*8+:8], floor[j*WORD+:WORD], bias[j*32+:32], bias_exponent[j*8+:8]};
    assign leaves[j] = 1'b0;
    assign result[j] = '0;
    assign power[j]  = '0;
    assign done[j]                      = leaves[GROUPS*COLUMNS+j];
    assign sum[j*BITS+:BITS]            = result[GROUPS*COLUMNS+j];
    assign exponent[j*(WORD+1)+:WORD+1] = power[GROUPS*COLUMNS+j];
    for (genvar i = ROWS; i < Whole; i++) begin : none
      assign held[i*COLUMNS+j] = '0;
    end
  end

  for (genvar i = 0; i < ROWS; i++) begin : element
    for (genvar j = 0; j < COLUMNS; j++) begin : at
      localparam int Own = (i / GROUP) * COLUMNS + j;
      os_element #(.RAW_BITS(RawBits), .BITS(BITS), .WORD(WORD)) u (
          .clk(clk),
          .first(to_right[i*(COLUMNS+1)+j][8]),
          .a(to_right[i*(COLUMNS+1)+j][7:0]),
          .w(to_below[i*COLUMNS+j]),
          .served(served[Own][i%GROUP]),
          .word(word[Own]),
          .top(top[Own]),
          .first_on(to_right[i*(COLUMNS+1)+j+1][8]),
          .a_on(to_right[i*(COLUMNS+1)+j+1][7:0]),
          .w_on(to_below[(i+1)*COLUMNS+j]),
          .raw(held[i*COLUMNS+j][Held-1-:RawBits]),
          .aligned(held[i*COLUMNS+j][WORD+:BITS]),
          .bound(held[i*COLUMNS+j][0+:WORD])
      );
    end
  end

  for (genvar g = 0; g < GROUPS; g++) begin : aligner
    for (genvar j = 0; j < COLUMNS; j++) begin : at
      localparam int Own = g * COLUMNS + j;
      localparam int From = g * (COLUMNS + 1) + j;
      logic [GROUP*RawBits-1:0] raws;
      logic [GROUP*BITS-1:0] aligneds;
      logic [GROUP*WORD-1:0] bounds;
      for (genvar i = 0; i < GROUP; i++) begin : place
        assign raws[i*RawBits+:RawBits] = held[(g*GROUP+i)*COLUMNS+j][Held-1-:RawBits];
        assign aligneds[i*BITS+:BITS]   = held[(g*GROUP+i)*COLUMNS+j][WORD+:BITS];
        assign bounds[i*WORD+:WORD]     = held[(g*GROUP+i)*COLUMNS+j][0+:WORD];
      end
      logic ready;
      os_aligner #(
          .GROUP(GROUP), .BITS(BITS), .SATURATING(SATURATING), .GUARD_BITS(GUARD_BITS),
          .MAX_SHIFT(MAX_SHIFT), .ROUNDING(ROUNDING), .NORMALISE(NORMALISE), .RAW_BITS(RawBits), .WORD(WORD)
      ) u (
          .clk(clk),
          .rst(rst),
          .serve(commands[From][Left-1]),
          .opening(commands[From][Left-2]),
          .closing(commands[From][Left-3]),
          .turn(commands[From][8+:TURN]),
          .row(commands[From][7:0]),
          .column(settings[Own][Above-1-:8]),
          .floor(settings[Own][40+:WORD]),
          .bias(settings[Own][8+:32]),
          .bias_exponent(settings[Own][7:0]),
          .exact(exact[Own*WORD+:WORD]),
          .raw(raws),
          .aligned(aligneds),
          .bound(bounds),
          .serve_on(commands[From+1][Left-1]),
          .opening_on(commands[From+1][Left-2]),
          .closing_on(commands[From+1][Left-3]),
          .turn_on(commands[From+1][8+:TURN]),
          .row_on(commands[From+1][7:0]),
          .column_on(settings[Own+COLUMNS][Above-1-:8]),
          .floor_on(settings[Own+COLUMNS][40+:WORD]),
          .bias_on(settings[Own+COLUMNS][8+:32]),
          .bias_exponent_on(settings[Own+COLUMNS][7:0]),
          .served(served[Own]),
          .word(word[Own]),
          .top(top[Own]),
          .done(ready),
          .flushed(flushed[Own]),
          .dropped(dropped[Own]),
          .overflow(overflow[Own])
      );
      assign leaves[Own+COLUMNS] = leaves[Own] | ready;
      assign result[Own+COLUMNS] = ready ? word[Own] : result[Own];
      assign power[Own+COLUMNS]  = ready ? (WORD + 1)'($signed(top[Own])) - Guard : power[Own];
    end
  end

  // what leaves at the right and at the bottom: kept, so that all elements and all aligners are alike
  logic [ROWS+COLUMNS-1:0] edges;
  for (genvar i = 0; i < ROWS; i++) begin : last_column
    assign edges[i] = ^to_right[i*(COLUMNS+1)+COLUMNS];
  end
  for (genvar j = 0; j < COLUMNS; j++) begin : last_row
    assign edges[ROWS+j] = ^{to_below[ROWS*COLUMNS+j], settings[GROUPS*COLUMNS+j]};
  end
  logic [GROUPS-1:0] edge_right;
  for (genvar g = 0; g < GROUPS; g++) begin : last_group
    assign edge_right[g] = ^commands[g*(COLUMNS+1)+COLUMNS];
  end
  (* keep *) logic unused;
  assign unused = ^{edges, edge_right};
  if (Whole > ROWS) begin : ragged
    logic [(Whole-ROWS)*COLUMNS-1:0] absent;
    for (genvar i = ROWS; i < Whole; i++) begin : place
      for (genvar j = 0; j < COLUMNS; j++) begin : at
        assign absent[(i-ROWS)*COLUMNS+j] = served[(GROUPS-1)*COLUMNS+j][i%GROUP];
      end
    end
    logic unused_rows;
    assign unused_rows = ^absent;
  end
endmodule
