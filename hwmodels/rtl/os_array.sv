// The MAC array in which outputs stay: os_array.step. ROWS x COLUMNS elements, and in each column an aligner for
// every GROUP rows. Codes and commands move to the right, codes and a column's exponents and bias move down.
module os_array #(
    parameter int ROWS            = 32,
    parameter int COLUMNS         = 32,
    parameter int GROUP           = 32,  // rows that share an aligner
    parameter int BITS            = 32,
    parameter bit SATURATING      = 1'b1,
    parameter int GUARD_BITS      = 8,
    parameter int MAX_SHIFT       = 31,
    parameter int ROUNDING        = 2,
    parameter int NORMALISE       = 0,
    parameter int WORD            = 10,
    parameter int A_BITS          = 8,
    parameter int W_BITS          = 8,
    parameter int A_EXPONENT      = 0,   // see element_product
    parameter int W_EXPONENT      = 0,
    parameter int PRODUCT_BITS    = A_BITS + W_BITS,
    parameter int DROPPED         = 0,
    parameter int WINDOW_ROUNDING = 0,
    parameter int FRACTION        = 0,   // bits of a product below its binary point
    parameter int RAW_BITS        = 32,
    parameter int GROUPS          = (ROWS + GROUP - 1) / GROUP,
    parameter int TURN            = GROUP > 1 ? $clog2(GROUP) : 1
) (
    input  logic                           clk,
    input  logic                           rst,
    input  logic                [ROWS-1:0] first,
    input  logic         [ROWS*A_BITS-1:0] a,
    input  logic      [COLUMNS*W_BITS-1:0] w,
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
  localparam logic signed [WORD:0] Guard = (WORD + 1)'(GUARD_BITS);

  for (genvar i = 0; i < ROWS; i++) begin : element
    for (genvar j = 0; j < COLUMNS; j++) begin : at
      logic first_in, first_on;
      logic [A_BITS-1:0] a_in, a_on;
      logic [W_BITS-1:0] w_in, w_on;
      logic [RAW_BITS-1:0] raw;
      logic [BITS-1:0] aligned;
      logic [WORD-1:0] bound;
      if (j == 0) begin : left
        assign first_in = first[i];
        assign a_in     = a[i*A_BITS+:A_BITS];
      end else begin : left
        assign first_in = at[j-1].first_on;
        assign a_in     = at[j-1].a_on;
      end
      if (i == 0) begin : above
        assign w_in = w[j*W_BITS+:W_BITS];
      end else begin : above
        assign w_in = element[i-1].at[j].w_on;
      end
      os_element #(
          .A_BITS(A_BITS), .W_BITS(W_BITS), .A_EXPONENT(A_EXPONENT), .W_EXPONENT(W_EXPONENT),
          .PRODUCT_BITS(PRODUCT_BITS), .DROPPED(DROPPED), .WINDOW_ROUNDING(WINDOW_ROUNDING), .RAW_BITS(RAW_BITS),
          .BITS(BITS), .WORD(WORD)
      ) u (
          .clk(clk),
          .first(first_in),
          .a(a_in),
          .w(w_in),
          .served(aligner[i/GROUP].at[j].served[i%GROUP]),
          .word(aligner[i/GROUP].at[j].word),
          .top(aligner[i/GROUP].at[j].top),
          .first_on(first_on),
          .a_on(a_on),
          .w_on(w_on),
          .raw(raw),
          .aligned(aligned),
          .bound(bound)
      );
    end
  end

  for (genvar g = 0; g < GROUPS; g++) begin : aligner
    for (genvar j = 0; j < COLUMNS; j++) begin : at
      // for the rows of the group
      logic [GROUP-1:0] served;
      logic [BITS-1:0] word;
      logic [WORD-1:0] top;

      // from the left, and on to the right
      logic serve_in, opening_in, closing_in, serve_on, opening_on, closing_on;
      logic [TURN-1:0] turn_in, turn_on;
      logic [7:0] row_in, row_on;
      if (j == 0) begin : left
        assign serve_in   = serve[g];
        assign opening_in = opening[g];
        assign closing_in = closing[g];
        assign turn_in    = turn[g*TURN+:TURN];
        assign row_in     = row[g*8+:8];
      end else begin : left
        assign serve_in   = at[j-1].serve_on;
        assign opening_in = at[j-1].opening_on;
        assign closing_in = at[j-1].closing_on;
        assign turn_in    = at[j-1].turn_on;
        assign row_in     = at[j-1].row_on;
      end

      // from above, and on down; and the sum that leaves the column, if it is not one of a group above
      logic [7:0] column_in, column_on, bias_exponent_in, bias_exponent_on;
      logic [WORD-1:0] floor_in, floor_on;
      logic [31:0] bias_in, bias_on;
      logic ready, done_in, done_on;
      logic [BITS-1:0] sum_in, sum_on;
      logic [WORD:0] exponent_in, exponent_on;
      if (g == 0) begin : above
        assign column_in        = column[j*8+:8];
        assign floor_in         = floor[j*WORD+:WORD];
        assign bias_in          = bias[j*32+:32];
        assign bias_exponent_in = bias_exponent[j*8+:8];
        assign done_in          = 1'b0;
        assign sum_in           = '0;
        assign exponent_in      = '0;
      end else begin : above
        assign column_in        = aligner[g-1].at[j].column_on;
        assign floor_in         = aligner[g-1].at[j].floor_on;
        assign bias_in          = aligner[g-1].at[j].bias_on;
        assign bias_exponent_in = aligner[g-1].at[j].bias_exponent_on;
        assign done_in          = aligner[g-1].at[j].done_on;
        assign sum_in           = aligner[g-1].at[j].sum_on;
        assign exponent_in      = aligner[g-1].at[j].exponent_on;
      end
      assign done_on     = done_in | ready;
      assign sum_on      = ready ? word : sum_in;
      assign exponent_on = ready ? (WORD + 1)'($signed(top)) - Guard : exponent_in;
      if (g == GROUPS - 1) begin : below
        assign done[j]                      = done_on;
        assign sum[j*BITS+:BITS]            = sum_on;
        assign exponent[j*(WORD+1)+:WORD+1] = exponent_on;
      end

      // the rows of the group
      logic [GROUP*RAW_BITS-1:0] raws;
      logic [GROUP*BITS-1:0] aligneds;
      logic [GROUP*WORD-1:0] bounds;
      for (genvar i = 0; i < GROUP; i++) begin : place
        if (g * GROUP + i < ROWS) begin : own
          assign raws[i*RAW_BITS+:RAW_BITS] = element[g*GROUP+i].at[j].raw;
          assign aligneds[i*BITS+:BITS]   = element[g*GROUP+i].at[j].aligned;
          assign bounds[i*WORD+:WORD]     = element[g*GROUP+i].at[j].bound;
        end else begin : none
          assign raws[i*RAW_BITS+:RAW_BITS] = '0;
          assign aligneds[i*BITS+:BITS]   = '0;
          assign bounds[i*WORD+:WORD]     = '0;
          logic unused;
          assign unused = served[i];
        end
      end

      os_aligner #(
          .GROUP(GROUP), .BITS(BITS), .SATURATING(SATURATING), .GUARD_BITS(GUARD_BITS),
          .MAX_SHIFT(MAX_SHIFT), .ROUNDING(ROUNDING), .NORMALISE(NORMALISE), .RAW_BITS(RAW_BITS), .WORD(WORD),
          .FRACTION(FRACTION)
      ) u (
          .clk(clk),
          .rst(rst),
          .serve(serve_in),
          .opening(opening_in),
          .closing(closing_in),
          .turn(turn_in),
          .row(row_in),
          .column(column_in),
          .floor(floor_in),
          .bias(bias_in),
          .bias_exponent(bias_exponent_in),
          .exact(exact[(g*COLUMNS+j)*WORD+:WORD]),
          .raw(raws),
          .aligned(aligneds),
          .bound(bounds),
          .serve_on(serve_on),
          .opening_on(opening_on),
          .closing_on(closing_on),
          .turn_on(turn_on),
          .row_on(row_on),
          .column_on(column_on),
          .floor_on(floor_on),
          .bias_on(bias_on),
          .bias_exponent_on(bias_exponent_on),
          .served(served),
          .word(word),
          .top(top),
          .done(ready),
          .flushed(flushed[g*COLUMNS+j]),
          .dropped(dropped[g*COLUMNS+j]),
          .overflow(overflow[g*COLUMNS+j])
      );
    end
  end

  // what leaves at the right and at the bottom: kept, so that all elements and all aligners are alike
  for (genvar i = 0; i < ROWS; i++) begin : last_element
    (* keep *) logic unused;
    assign unused = ^{element[i].at[COLUMNS-1].first_on, element[i].at[COLUMNS-1].a_on};
  end
  for (genvar g = 0; g < GROUPS; g++) begin : last_aligner
    (* keep *) logic unused;
    assign unused = ^{
      aligner[g].at[COLUMNS-1].serve_on, aligner[g].at[COLUMNS-1].opening_on, aligner[g].at[COLUMNS-1].closing_on,
      aligner[g].at[COLUMNS-1].turn_on, aligner[g].at[COLUMNS-1].row_on
    };
  end
  for (genvar j = 0; j < COLUMNS; j++) begin : last_row
    (* keep *) logic unused;
    assign unused = ^{
      element[ROWS-1].at[j].w_on, aligner[GROUPS-1].at[j].column_on, aligner[GROUPS-1].at[j].floor_on,
      aligner[GROUPS-1].at[j].bias_on, aligner[GROUPS-1].at[j].bias_exponent_on
    };
  end
endmodule
