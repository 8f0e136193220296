// A code that counts from an anchor, as if it counted from its block, product.lifted: `lift` is how far the
// anchor lies above the block's exponent, which bounds the code, so that the sum has room.
module lifted_decoder #(
    parameter int BITS             = 8,
    parameter int EXPONENT_BITS    = 4,
    parameter bit HIDDEN           = 1'b1,
    parameter bit SUBNORMAL        = 1'b1,
    parameter bit SIGNED           = 1'b1,
    parameter bit ROOTS            = 1'b0,
    parameter int SIGNIFICAND_BITS = ROOTS ? 9 : BITS - EXPONENT_BITS + 32'(HIDDEN) + 32'(!SIGNED)
) (
    input  logic                   [BITS-1:0] x,
    input  logic          [EXPONENT_BITS-1:0] lift,
    output logic signed [SIGNIFICAND_BITS-1:0] significand,
    output logic           [EXPONENT_BITS-1:0] exponent
);
  logic [EXPONENT_BITS-1:0] own;
  code_decoder #(
      .BITS(BITS), .EXPONENT_BITS(EXPONENT_BITS), .HIDDEN(HIDDEN), .SUBNORMAL(SUBNORMAL), .SIGNED(SIGNED), .ROOTS(ROOTS)
  ) u_decoder (
      .x(x), .significand(significand), .exponent(own)
  );
  assign exponent = own + lift;
endmodule
