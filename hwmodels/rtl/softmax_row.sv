// What the softmax unit does once per row: the shift of its distances, and the reciprocal of its sum by a
// leading-zero count, a table in two memories and interpolation: softmax_parts.row_step.
module softmax_row #(
    parameter int GUARD    = 4,
    parameter int FRACTION = 16,
    parameter int SUM_BITS = 40,
    parameter int SEGMENTS = 64,   // of the table of reciprocals, a power of two
    parameter int ADDRESS  = $clog2(SEGMENTS / 2 + 1),
    parameter int ENTRY    = FRACTION + 1
) (
    input  logic                clk,
    input  logic signed   [7:0] row_exponent,
    input  logic [SUM_BITS-1:0] total,
    input  logic    [ENTRY-1:0] even,
    input  logic    [ENTRY-1:0] odd,
    output logic signed   [8:0] shift,
    output logic    [ENTRY-1:0] inverse,
    output logic          [5:0] place,
    output logic  [ADDRESS-1:0] even_address,
    output logic  [ADDRESS-1:0] odd_address
);
  localparam int Low = FRACTION - $clog2(SEGMENTS);

  // distances times log2 e have 14 fraction bits and the guard bits
  logic signed [8:0] shifts[2];
  always_ff @(posedge clk) begin
    shifts[0] <= 9'(row_exponent) + 9'(FRACTION - 14 - GUARD);
    shifts[1] <= shifts[0];
  end
  assign shift = shifts[1];

  // the places of the sum, and the bits below its leading one
  localparam int N = $clog2(SUM_BITS + 1);
  logic [N-1:0] length;
  logic [SUM_BITS-1:0] divisor;
  logic [5:0] places[5];
  logic signed [SUM_BITS+FRACTION:0] normalised;
  logic [FRACTION-1:0] mantissa;
  bit_length #(.W(SUM_BITS)) u_length (.x(total), .n(length));
  scale #(.WX(SUM_BITS + 1), .WS(8), .LIMIT(62), .LONGEST_LEFT(FRACTION), .ROUNDING(0)) u_normalised (
      .x({1'b0, divisor}),
      .s(8'(FRACTION) - $signed({2'b0, places[0]})),
      .y(normalised)
  );
  always_ff @(posedge clk) begin
    divisor  <= total;
    mantissa <= normalised[FRACTION-1:0];
  end
  for (genvar i = 0; i < 5; i++) begin : stage
    always_ff @(posedge clk) places[i] <= i > 0 ? places[i==0?0:i-1] : length == 0 ? '0 : 6'(length - 1'b1);
  end
  assign place = places[4];

  logic odd_first;
  logic [Low-1:0] low;
  logic signed [ENTRY:0] between;
  assign odd_address  = ADDRESS'(mantissa[FRACTION-1:0] >> (Low + 1));
  assign even_address = odd_address + ADDRESS'(mantissa[Low]);
  interpolate #(.W(ENTRY + 1), .LOW(Low)) u_inverse (
      .left ({1'b0, odd_first ? odd : even}),
      .right({1'b0, odd_first ? even : odd}),
      .low  (low),
      .y    (between)
  );
  always_ff @(posedge clk) begin
    odd_first <= mantissa[Low];
    low       <= mantissa[Low-1:0];
    inverse   <= between[ENTRY-1:0];
  end
  logic unused;
  assign unused = ^{between[ENTRY], normalised[SUM_BITS+FRACTION:FRACTION]};
endmodule
