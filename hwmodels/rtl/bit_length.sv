// The number of bits of x, zero for zero: ops.bit_length, a priority encoder.
module bit_length #(
    parameter int W = 32,
    parameter int N = $clog2(W + 1)
) (
    input  logic [W-1:0] x,
    output logic [N-1:0] n
);
  always_comb begin
    n = '0;
    for (int i = 0; i < W; i++) if (x[i]) n = N'(i + 1);
  end
endmodule
