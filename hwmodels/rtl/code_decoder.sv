// What a code means, product.significand and product.exponent: a sign, an exponent field if there is one,
// and the stored part of a significand, below a leading one that may be hidden.
module code_decoder #(
    parameter int BITS             = 8,
    parameter int EXPONENT_BITS    = 4,
    parameter bit HIDDEN           = 1'b1,
    parameter bit SUBNORMAL        = 1'b1,  // no leading one under a field of zero
    parameter int SIGNIFICAND_BITS = BITS - EXPONENT_BITS + 32'(HIDDEN),
    parameter int FIELD_BITS       = EXPONENT_BITS == 0 ? 1 : EXPONENT_BITS
) (
    input  logic                   [BITS-1:0] x,
    output logic signed [SIGNIFICAND_BITS-1:0] significand,
    output logic              [FIELD_BITS-1:0] exponent
);
  if (EXPONENT_BITS == 0) begin : integer_
    assign significand = SIGNIFICAND_BITS'($signed(x));
    assign exponent = '0;
  end else begin : floating
    localparam int Stored = BITS - 1 - EXPONENT_BITS;
    logic [FIELD_BITS-1:0] field;
    logic [SIGNIFICAND_BITS-1:0] size;
    logic leading, is_zero;
    assign field = x[BITS-2:Stored];
    assign is_zero = field == '0;
    assign leading = HIDDEN & ~(SUBNORMAL & is_zero);
    assign size = SIGNIFICAND_BITS'(x[BITS-2:0] & ((BITS - 1)'(1) << Stored) - (BITS - 1)'(1))
        | (SIGNIFICAND_BITS'(leading) << Stored);
    assign significand = x[BITS-1] ? -size : size;
    assign exponent = HIDDEN & SUBNORMAL & ~is_zero ? field - FIELD_BITS'(1) : field;
  end
endmodule
