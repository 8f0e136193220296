// What a code means, product.significand and product.exponent: a sign if there is one, an exponent field if
// there is one, and the stored part of a significand, below a leading one that may be hidden. A code that
// counts half octaves has a significand of one or of the root of two.
module code_decoder #(
    parameter int BITS             = 8,
    parameter int EXPONENT_BITS    = 4,
    parameter bit HIDDEN           = 1'b1,
    parameter bit SUBNORMAL        = 1'b1,  // no leading one under a field of zero
    parameter bit SIGNED           = 1'b1,
    parameter bit ROOTS            = 1'b0,
    parameter int SIGNIFICAND_BITS = ROOTS ? 9 : BITS - EXPONENT_BITS + 32'(HIDDEN) + 32'(!SIGNED),
    parameter int FIELD_BITS       = EXPONENT_BITS == 0 ? 1 : EXPONENT_BITS
) (
    input  logic                   [BITS-1:0] x,
    output logic signed [SIGNIFICAND_BITS-1:0] significand,
    output logic              [FIELD_BITS-1:0] exponent
);
  localparam int Magnitude = BITS - 32'(SIGNED);
  if (EXPONENT_BITS == 0) begin : integer_
    assign significand = SIGNIFICAND_BITS'($signed(x));
    assign exponent = '0;
  end else if (ROOTS) begin : half_octaves
    assign significand = x == '0 ? '0 : x[0] ? SIGNIFICAND_BITS'(128) : SIGNIFICAND_BITS'(181);
    assign exponent = x == '0 ? '0 : x[BITS-1:1] - FIELD_BITS'(!x[0]);
  end else begin : floating
    localparam int Stored = Magnitude - EXPONENT_BITS;
    logic [FIELD_BITS-1:0] field;
    logic [SIGNIFICAND_BITS-1:0] size;
    logic leading, is_zero;
    assign field = x[Magnitude-1:Stored];
    assign is_zero = field == '0;
    assign leading = HIDDEN & ~(SUBNORMAL & is_zero);
    assign size = SIGNIFICAND_BITS'(x[Magnitude-1:0] & ((Magnitude)'(1) << Stored) - (Magnitude)'(1))
        | (SIGNIFICAND_BITS'(leading) << Stored);
    assign significand = SIGNED & x[BITS-1] ? -size : size;
    assign exponent = HIDDEN & SUBNORMAL & ~is_zero ? field - FIELD_BITS'(1) : field;
  end
endmodule
