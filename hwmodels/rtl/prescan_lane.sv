// A lane of the prescan: prescan.lane_step. The largest sum of two exponents over an output's segments, no
// smaller than the floor. A segment with a block of zeros takes no part.
module prescan_lane #(
    parameter int EXPONENT_BITS = 8,
    parameter int WORD          = EXPONENT_BITS + 2
) (
    input  logic                            clk,
    input  logic                            valid,
    input  logic                            first,
    input  logic signed          [WORD-1:0] floor,
    input  logic signed [EXPONENT_BITS-1:0] row,
    input  logic signed [EXPONENT_BITS-1:0] column,
    output logic signed          [WORD-1:0] joined
);
  localparam logic signed [EXPONENT_BITS-1:0] ZeroBlock = {1'b1, {(EXPONENT_BITS - 1) {1'b0}}};
  logic signed [EXPONENT_BITS:0] sum;
  logic signed [WORD-1:0] bound, held;
  assign sum    = row + column;
  assign held   = first ? floor : bound;
  assign joined = row != ZeroBlock && column != ZeroBlock && WORD'(sum) > held ? WORD'(sum) : held;
  always_ff @(posedge clk) if (valid) bound <= joined;
endmodule
