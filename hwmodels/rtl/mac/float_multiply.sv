// A floating-point product: E exponent and M fraction bits in, MO fraction bits out, rounded half to even.
// Every code is a finite number: subnormals count as zero, and what is too large is the largest number.
// It rounds, so that synthesis gains nothing across its ports.
(* keep_hierarchy *)
module float_multiply #(
    parameter int E  = 8,
    parameter int M  = 23,
    parameter int MO = 23
) (
    input  logic  [E+M:0] a,
    input  logic  [E+M:0] b,
    output logic [E+MO:0] p
);
  localparam int W = 2 * M + 2;  // of the significands' product
  localparam int X = MO + 3 > W ? MO + 3 : W;  // with a half and a sticky bit behind the last one kept
  localparam logic signed [E+1:0] Bias = (E + 2)'((1 << (E - 1)) - 1);
  localparam logic signed [E+1:0] Top = (E + 2)'((1 << E) - 1);

  logic [M:0] a_significand, b_significand;
  logic [W-1:0] product;
  logic [X-1:0] wide, normal;
  logic signed [E+1:0] exponent, carried;
  logic sign, zero, up;
  logic [MO-1:0] fraction;
  assign sign          = a[E+M] ^ b[E+M];
  assign zero          = a[M+:E] == '0 || b[M+:E] == '0;
  assign a_significand = {1'b1, a[M-1:0]};
  assign b_significand = {1'b1, b[M-1:0]};
  assign product       = a_significand * b_significand;

  // the leading one comes to the top; rounding may carry into the exponent
  assign wide     = X'(product) << (X - W);
  assign normal   = product[W-1] ? wide : wide << 1;
  assign exponent = $signed({2'b0, a[M+:E]}) + $signed({2'b0, b[M+:E]}) - Bias + (E + 2)'(product[W-1]);
  assign up       = normal[X-MO-2] & (|normal[X-MO-3:0] | normal[X-MO-1]);
  assign {carried, fraction} = {exponent, normal[X-2-:MO]} + (E + MO + 2)'(up);
  assign p = zero || carried <= 0 ? {sign, (E + MO)'(0)}
           : carried >= Top       ? {sign, {(E - 1) {1'b1}}, 1'b0, {MO{1'b1}}}
           :                        {sign, carried[E-1:0], fraction};
  logic unused;
  assign unused = normal[X-1];
endmodule
