// The rank of a scaled sum, requantizer_lane.rank: twice the place of its leading one, and one more if it
// rounds up to the next power of two. Zero has the lowest rank of all.
module requantizer_rank #(
    parameter int W             = 64,
    parameter int EXPONENT_BITS = 11,
    parameter int RANK_BITS     = 12
) (
    input  logic signed             [W-1:0] acc,
    input  logic signed [EXPONENT_BITS-1:0] exponent,
    input  logic                      [3:0] form,    // codes of 3 to 9, or 16 bits; and above that: never up
    output logic signed     [RANK_BITS-1:0] rank
);
  localparam int N = $clog2(W + 1);
  logic [W-1:0] size, normal;
  logic [N-1:0] length;
  logic [15:0] below;
  logic up;
  logic signed [RANK_BITS-2:0] key;
  assign size = acc < 0 ? W'(-acc) : W'(acc);
  bit_length #(.W(W)) u_length (.x(size), .n(length));

  // the leading ones and the half below them
  assign normal = size << (N'(W) - length);
  assign below = form[2:0] == 7 ? 16'h0 : 16'h1fff >> form[2:0];
  assign up = ~form[3] & (&(normal[W-1-:16] | below));
  assign key = (RANK_BITS - 1)'(exponent) + $signed((RANK_BITS - 1)'(length));
  assign rank = acc == 0 ? {1'b1, {(RANK_BITS - 1) {1'b0}}} : {key, up};
  logic unused;
  assign unused = ^normal[W-17:0];
endmodule
