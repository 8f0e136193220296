// The rank of a sum for a block of codes with exponents, encoder.block_rank: twice the place of its leading
// one, and where GEOMETRIC one more if it is no power of two. Zero has the lowest rank of all.
module encoder_rank #(
    parameter bit GEOMETRIC     = 1'b0,
    parameter int SUM_BITS      = 48,
    parameter int EXPONENT_BITS = 10,
    parameter int RANK_BITS     = 12
) (
    input  logic signed      [SUM_BITS-1:0] sum,
    input  logic signed [EXPONENT_BITS-1:0] exponent,
    output logic signed     [RANK_BITS-1:0] rank
);
  localparam int N = $clog2(SUM_BITS + 1);
  logic [SUM_BITS-1:0] size;
  logic [N-1:0] length;
  logic signed [RANK_BITS-2:0] key;
  logic beyond;
  assign size = sum < 0 ? SUM_BITS'(-sum) : SUM_BITS'(sum);
  bit_length #(.W(SUM_BITS)) u_length (.x(size), .n(length));
  assign beyond = GEOMETRIC && (size & (size - SUM_BITS'(1))) != 0;
  assign key = (RANK_BITS - 1)'(exponent) + $signed((RANK_BITS - 1)'(length));
  assign rank = sum == 0 ? {1'b1, {(RANK_BITS - 1) {1'b0}}} : {key, beyond};
endmodule
